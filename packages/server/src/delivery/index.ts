export type { DeliveredUpdate } from './delivered-batch.ts';
export { createDelivery, type DeliveryDependencies, DeliveryService } from './delivery-service.ts';
export { LOG_LIFE_MS } from './log-sweep.ts';
export { type PublicGroup, type PublicGroups, publicGroups } from './public-group.ts';
