import {
  type ExchangeOptions,
  officerAsks,
  officersSign,
  type TrustSide,
  testOfficer,
  testOrganisation,
  testSide,
} from '@norc/testkit';

/** Exchanges of the vectors: who takes part, and what is asked. */
export interface ExchangeSetup {
  readonly first: TrustSide;
  readonly second: TrustSide;
  readonly options: ExchangeOptions;
}

const alpha = testOrganisation('alpha.example');
const bravo = testOrganisation('bravo.example');
const officers = (org: typeof alpha) => ['officer 1', 'officer 2'].map((name) => testOfficer(org, name));
const [first, second] = [alpha, bravo].map((org) => testSide(org, officersSign(officers(org)))) as [
  TrustSide,
  TrustSide,
]; // one for each organisation

export const EXCHANGE_SETUPS: Readonly<Record<'basic' | 'classified', ExchangeSetup>> = {
  basic: { first: testSide(alpha), second: testSide(bravo), options: {} },
  classified: {
    first,
    second,
    options: officerAsks(testOfficer(alpha, 'officer 0'), first, second, { request: { validDays: 90 } }),
  },
};

export function setupOf(level: string): ExchangeSetup {
  return level === 'classified' ? EXCHANGE_SETUPS.classified : EXCHANGE_SETUPS.basic;
}
