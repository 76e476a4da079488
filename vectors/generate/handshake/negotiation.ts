import type { VectorFile } from '../files.ts';

const versions = (name: string, initiator: readonly string[], responder: readonly string[]) => ({
  name,
  initiator,
  responder,
});

const chosen = (version: string, compatibility_mode: boolean) => ({ version, compatibility_mode });

const all = ['2.0', '1.2', '1.1', '1.0'];

export const negotiationVectors: readonly VectorFile[] = [
  {
    outcome: 'valid',
    kind: 'versions',
    about:
      'The version lists of both sides, the version that is negotiated, and whether that is compatibility mode. The same result holds with the sides changed about.',
    cases: [
      { ...versions('both newest', ['2.0', '1.2'], ['2.0', '1.2']), ...chosen('2.0', false) },
      { ...versions('an older responder', all, ['1.2', '1.1']), ...chosen('1.2', true) },
      { ...versions('two neighbours of one major', ['3.0', '2.1', '2.0'], ['2.0', '1.2']), ...chosen('2.0', true) },
      { ...versions('one version each', ['1.2'], ['1.2']), ...chosen('1.2', false) },
      { ...versions('the seed prototype', ['1.1', '1.0'], all), ...chosen('1.1', true) },
      { ...versions('minors are numbers', ['1.9', '1.10'], ['1.10', '1.9']), ...chosen('1.10', false) },
      { ...versions('the order of a list is no preference', ['1.2', '2.0'], ['1.2', '2.0']), ...chosen('2.0', false) },
      { ...versions('major 0 is a major', ['1.0', '0.9'], ['0.9']), ...chosen('0.9', true) },
    ],
  },
  {
    outcome: 'invalid',
    kind: 'versions',
    about: 'Version lists of both sides that must be refused.',
    cases: [
      { ...versions('nothing in common', ['2.0', '1.2'], ['1.0']), error: 'no_compatible_version' },
      { ...versions('only a later major', ['3.0'], ['2.0', '1.2']), error: 'no_compatible_version' },
      { ...versions('three majors', ['3.0', '2.0', '1.2'], ['2.0']), error: 'version_span' },
      { ...versions('two majors that are not adjacent', ['3.0', '1.2'], ['1.2']), error: 'version_span' },
      { ...versions('an empty list', [], ['2.0']), error: 'malformed' },
      { ...versions('a version twice', ['2.0', '2.0'], ['2.0']), error: 'malformed' },
      { ...versions('a leading zero', ['2.00'], ['2.0']), error: 'malformed' },
      { ...versions('no minor', ['2'], ['2.0']), error: 'malformed' },
      { ...versions('a number above 15', ['2.16'], ['2.0']), error: 'malformed' },
    ],
  },
  {
    outcome: 'valid',
    kind: 'suites',
    about: 'The suite lists of both sides, and the suite that is negotiated.',
    cases: [
      { name: 'both have both', initiator: ['0x0101', '0x0102'], responder: ['0x0101', '0x0102'], suite: '0x0101' },
      { name: 'order is no preference', initiator: ['0x0102', '0x0101'], responder: ['0x0101'], suite: '0x0101' },
      { name: 'only AES', initiator: ['0x0101', '0x0102'], responder: ['0x0102'], suite: '0x0102' },
      { name: 'unknown suites', initiator: ['0xfffe', '0x0102'], responder: ['0x0102', '0x7777'], suite: '0x0102' },
    ],
  },
  {
    outcome: 'invalid',
    kind: 'suites',
    about: 'Suite lists of both sides, and a choice (`suite`) that the initiator must refuse.',
    cases: [
      {
        name: 'not the highest of both',
        initiator: ['0x0101', '0x0102'],
        responder: ['0x0101', '0x0102'],
        suite: '0x0102',
        error: 'suite_downgrade',
      },
      {
        name: 'a suite that nobody offered',
        initiator: ['0x0101'],
        responder: ['0x0101'],
        suite: '0x0102',
        error: 'suite_downgrade',
      },
      {
        name: 'nothing in common',
        initiator: ['0x0101'],
        responder: ['0x0102'],
        suite: '0x0102',
        error: 'no_compatible_suite',
      },
      {
        name: 'only the classical suite in common',
        initiator: ['0x0101', '0x0001'],
        responder: ['0x0102', '0x0001'],
        suite: '0x0001',
        error: 'no_compatible_suite',
      },
      { name: 'not a suite', initiator: ['0101'], responder: ['0x0101'], suite: '0x0101', error: 'malformed' },
    ],
  },
];
