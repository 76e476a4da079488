import type { Instant, Random } from '@norc/protocol/base';
import type { FakeOrganisation } from './fake-server.ts';
import { TestWorld, type WorldOptions } from './world.ts';

/** The part of packages/testkit that makes organisations. Tests hand it in: the client itself does not depend on it. */
export interface TestKit<O extends FakeOrganisation> {
  readonly TEST_EPOCH: Instant;
  seededRandom(seed: string): Random;
  testOrganisation(domain: string): O;
  testTrustCertificate(issuer: O, subject: O): { readonly document: { readonly bytes: Uint8Array } };
}

export interface StandardOptions extends Pick<WorldOptions, 'clientVersions' | 'serverVersions'> {
  readonly seed: string;
  readonly domains?: readonly string[];
}

/** Organisations that trust each other at `basic`: `alpha.example` and `bravo.example` unless told. */
export function standardWorld<O extends FakeOrganisation>(kit: TestKit<O>, options: StandardOptions): TestWorld {
  const { seed, domains = ['alpha.example', 'bravo.example'], ...versions } = options;
  const organisations = domains.map((domain) => kit.testOrganisation(domain));
  const byDomain = (domain: string) => {
    const found = organisations.find((one) => one.domain === domain);
    if (found === undefined) throw new RangeError(domain);
    return found;
  };
  return new TestWorld({
    start: kit.TEST_EPOCH,
    random: kit.seededRandom(seed),
    organisations,
    trust: (issuer, subject) =>
      kit.testTrustCertificate(byDomain(issuer.domain), byDomain(subject.domain)).document.bytes,
    ...versions,
  });
}
