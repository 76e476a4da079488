import type { Command } from '../command.ts';
import { auditExport, auditList, auditVerify } from './audit.ts';
import { deviceList, deviceRevoke } from './device.ts';
import { doctor } from './doctor.ts';
import { orgInit, orgShow } from './org.ts';
import { server } from './server.ts';
import { trustApprove, trustDecline, trustList, trustRequest, trustRevoke, trustShow } from './trust.ts';
import { userAdd, userList } from './user.ts';

/** In the order of the overview. */
export const COMMANDS: readonly Command[] = [
  server,
  orgInit,
  orgShow,
  userAdd,
  userList,
  deviceList,
  deviceRevoke,
  trustRequest,
  trustList,
  trustShow,
  trustApprove,
  trustDecline,
  trustRevoke,
  auditList,
  auditExport,
  auditVerify,
  doctor,
];
