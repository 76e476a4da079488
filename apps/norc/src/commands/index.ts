import type { Command } from '../command.ts';
import { auditExport, auditList, auditVerify } from './audit.ts';
import { chat } from './chat.ts';
import { client } from './client.ts';
import { demo } from './demo.ts';
import { deviceList, deviceRevoke } from './device.ts';
import { doctor } from './doctor.ts';
import { enroll } from './enroll.ts';
import { orgInit, orgShow } from './org.ts';
import { server } from './server.ts';
import { trustApprove, trustDecline, trustList, trustRequest, trustRevoke, trustShow } from './trust.ts';
import { userAdd, userList } from './user.ts';

/** In the order of the overview. */
export const COMMANDS: readonly Command[] = [
  demo,
  server,
  client,
  chat,
  orgInit,
  orgShow,
  userAdd,
  userList,
  enroll,
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
