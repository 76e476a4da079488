import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { graphSvg, xmlText } from './graph-svg.ts';

const NOW = 1_790_000_000_000;

test('names of other organisations cannot become markup', () => {
  const hostile = '</text><script>alert(1)</script>&"\'\u0000\u001b[31m';
  const svg = graphSvg({ self: hostile, now: NOW, edges: [{ peer: hostile, level: hostile, state: hostile }] });
  assert.ok(!svg.includes('<script'));
  assert.ok(!svg.includes('\u001b') && !svg.includes('\u0000'));
  assert.equal(xmlText('<&>"\''), '&lt;&amp;&gt;&quot;&#39;');
});

test('each partner is a box and a line, whatever it is called', () => {
  const anyEdge = fc.record({
    peer: fc.string(),
    level: fc.constantFrom('basic', 'verified', 'classified', 'nato', 'untrusted'),
    state: fc.constantFrom('in_force', 'revoked', 'stale'),
  });
  fc.assert(
    fc.property(fc.array(anyEdge, { maxLength: 8 }), (edges) => {
      const svg = graphSvg({ self: 'alpha.example', now: NOW, edges });
      assert.equal(svg.match(/<path /g)?.length ?? 0, edges.length);
      assert.equal(svg.match(/<rect /g)?.length, edges.length + 2);
      assert.equal(svg.match(/<text /g)?.length, svg.match(/<\/text>/g)?.length);
    }),
  );
});
