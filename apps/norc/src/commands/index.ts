import type { Command } from '../command.ts';
import { auditExport, auditList, auditVerify } from './audit.ts';
import { chat } from './chat.ts';
import { client } from './client.ts';
import { demo } from './demo.ts';
import { deviceList, deviceRevoke } from './device.ts';
import { doctor } from './doctor.ts';
import { enroll } from './enroll.ts';
import { evidenceAdd, evidenceCheck, evidenceList } from './evidence.ts';
import { evidenceAttest, evidenceState, evidenceVouch, evidenceX509 } from './evidence-make.ts';
import { officerAdd, officerInit, officerList, officerRevoke } from './officer.ts';
import { orgInit, orgShow } from './org.ts';
import { orgRecovery, orgRotateRoot, orgUpgradeKeys, trustRotation } from './org-keys.ts';
import { orgSignRotation } from './org-sign-rotation.ts';
import { policyApply, policyCheck, policyHistory, policyPlan, policyShow } from './policy.ts';
import { officerApprove, officerProposals, officerWithdraw, proposals } from './proposals.ts';
import { server } from './server.ts';
import { trustApprove, trustDecline } from './trust-approve.ts';
import { trustConditionMet, trustDowngrade, trustRenew, trustRestore, trustRevoke, trustSuspend } from './trust-end.ts';
import { trustExport, trustVerify } from './trust-export.ts';
import { trustGraph } from './trust-graph.ts';
import { trustHistory } from './trust-history.ts';
import { trustRequest } from './trust-request.ts';
import { trustList, trustShow } from './trust-show.ts';
import { userAdd, userList } from './user.ts';

/** In the order of the overview. */
export const COMMANDS: readonly Command[] = [
  demo,
  server,
  client,
  chat,
  orgInit,
  orgShow,
  orgUpgradeKeys,
  orgRecovery,
  orgRotateRoot,
  orgSignRotation,
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
  trustDowngrade,
  trustSuspend,
  trustRestore,
  trustConditionMet,
  trustRenew,
  trustHistory,
  trustGraph,
  trustExport,
  trustVerify,
  trustRotation,
  evidenceList,
  evidenceX509,
  evidenceAttest,
  evidenceAdd,
  evidenceVouch,
  evidenceState,
  evidenceCheck,
  officerInit,
  officerAdd,
  officerList,
  officerRevoke,
  proposals,
  officerProposals,
  officerApprove,
  officerWithdraw,
  policyShow,
  policyCheck,
  policyPlan,
  policyApply,
  policyHistory,
  auditList,
  auditExport,
  auditVerify,
  doctor,
];
