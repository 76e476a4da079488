import { certificatePolicies, inhibitAnyPolicy, policyConstraints, policyMappings, type X509 } from './certificate.ts';

/**
 * The valid policies of a path (RFC 5280 sections 6.1.2 to 6.1.5). The library (pkijs 4.0.0) works
 * them out too, but where a policy is required it forgets inhibitPolicyMapping, refuses every path
 * whose authority states anyPolicy, and stumbles over mappings of anyPolicy; so what is required is
 * decided here, and the library is asked without a requirement, as a second opinion.
 */

const ANY = '2.5.29.32.0';
/** Policies of one certificate, and mappings: a path must not cost more than it says. */
const POLICIES_MAX = 64;

/** One policy that is valid so far. */
interface Node {
  /** As the anchor calls it; ANY as long as no certificate narrowed it. */
  readonly called: string;
  /** As the certificate just read calls it. */
  readonly valid: string;
  /** What the next certificate may call it. */
  readonly expected: ReadonlySet<string>;
}

/** How many more certificates may go by until a rule holds; 0: it holds. */
interface Counters {
  readonly explicit: number;
  readonly mapping: number;
  readonly any: number;
}

/**
 * Whether one of `required` (dotted; empty: none is required) is valid for the path, leaf first, anchor last.
 * A text says why not.
 */
export function policyFault(path: readonly X509[], required: readonly string[]): string | undefined {
  const certificates = path.slice(0, -1).reverse(); // from the one that the anchor issued to the leaf
  const never = certificates.length + 1;
  let counters: Counters = { explicit: required.length > 0 ? 0 : never, mapping: never, any: never };
  let nodes: readonly Node[] = [{ called: ANY, valid: ANY, expected: new Set([ANY]) }];
  for (const [index, certificate] of certificates.entries()) {
    const isLeaf = index === certificates.length - 1;
    nodes = narrowed(nodes, certificate, counters.any > 0 || (certificate.selfIssued && !isLeaf));
    if (nodes.length === 0 && counters.explicit === 0) return missing(required);
    if (isLeaf) return leafFault(nodes, certificate, counters.explicit, required);
    const mapped = withMappings(nodes, certificate, counters.mapping > 0);
    if (typeof mapped === 'string') return mapped;
    nodes = mapped;
    counters = nextCounters(counters, certificate);
  }
  return undefined;
}

function leafFault(
  nodes: readonly Node[],
  leaf: X509,
  explicit: number,
  required: readonly string[],
): string | undefined {
  const own = policyConstraints(leaf)?.requireExplicitPolicy;
  const needed = explicit <= 1 || own === 0;
  const valid = nodes.some(({ called }) => required.length === 0 || called === ANY || required.includes(called));
  return needed && !valid ? missing(required) : undefined;
}

function missing(required: readonly string[]): string {
  return required.length === 0
    ? 'an authority of the chain requires a certificate policy, and none is valid for the chain'
    : `none of the required certificate policies is valid for the chain (${required.join(', ')})`;
}

/** RFC 5280 section 6.1.3 (d) and (e). */
function narrowed(nodes: readonly Node[], certificate: X509, anyCounts: boolean): readonly Node[] {
  const stated = statedPolicies(certificate);
  if (stated === undefined) return [];
  const next: Node[] = [];
  const anyNode = nodes.find(({ valid }) => valid === ANY);
  for (const policy of stated) {
    if (policy === ANY) continue;
    const parents = nodes.filter(({ expected }) => expected.has(policy));
    const taken = parents.length === 0 && anyNode !== undefined ? [anyNode] : parents;
    for (const { called } of taken) next.push(child(called, policy));
  }
  if (stated.includes(ANY) && anyCounts) {
    for (const { called, expected } of nodes) {
      for (const policy of expected) {
        const there = next.some((one) => one.valid === policy && (called === ANY || one.called === called));
        if (!there) next.push(child(called, policy));
      }
    }
  }
  return next;
}

function child(called: string, policy: string): Node {
  return { called: called === ANY ? policy : called, valid: policy, expected: new Set([policy]) };
}

function statedPolicies(certificate: X509): readonly string[] | undefined {
  const stated = certificatePolicies(certificate)?.certificatePolicies;
  return stated?.slice(0, POLICIES_MAX).map(({ policyIdentifier }) => policyIdentifier);
}

/** RFC 5280 section 6.1.4 (a) and (b). */
function withMappings(nodes: readonly Node[], certificate: X509, mayMap: boolean): readonly Node[] | string {
  const mappings = policyMappings(certificate)?.mappings.slice(0, POLICIES_MAX) ?? [];
  const sets = new Map<string, Set<string>>();
  for (const { issuerDomainPolicy: from, subjectDomainPolicy: to } of mappings) {
    if (from === ANY || to === ANY) return `${certificate.name} maps the policy "any", which is forbidden`;
    sets.set(from, (sets.get(from) ?? new Set()).add(to));
  }
  if (!mayMap) return nodes.filter(({ valid }) => !sets.has(valid));
  const mapped = nodes.map((node) => ({ ...node, expected: sets.get(node.valid) ?? node.expected }));
  const anyNode = nodes.find(({ valid }) => valid === ANY);
  if (anyNode === undefined) return mapped;
  for (const [from, expected] of sets) {
    if (nodes.some(({ valid }) => valid === from)) continue;
    mapped.push({ called: anyNode.called === ANY ? from : anyNode.called, valid: from, expected });
  }
  return mapped;
}

/** RFC 5280 section 6.1.4 (h) to (j). */
function nextCounters(before: Counters, certificate: X509): Counters {
  const step = certificate.selfIssued ? 0 : 1;
  const less = (count: number) => Math.max(0, count - step);
  const { requireExplicitPolicy, inhibitPolicyMapping } = policyConstraints(certificate) ?? {};
  const limit = (count: number, stated: number | undefined) => Math.min(less(count), stated ?? count);
  return {
    explicit: limit(before.explicit, requireExplicitPolicy),
    mapping: limit(before.mapping, inhibitPolicyMapping),
    any: limit(before.any, inhibitAnyPolicy(certificate)),
  };
}
