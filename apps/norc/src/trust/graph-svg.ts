/** Who is trusted, as the admin interface tells it. */
export interface TrustGraph {
  readonly self: string;
  readonly now: number;
  readonly edges: readonly {
    readonly peer: string;
    readonly level: string;
    /** `in_force`, or the reason why nothing passes. */
    readonly state: string;
    readonly not_after?: number;
  }[];
}

interface Look {
  readonly stroke: string;
  readonly width: number;
  readonly dash?: string;
}

const LEVEL_LOOKS: Readonly<Record<string, Look>> = {
  basic: { stroke: '#6b7280', width: 2 },
  verified: { stroke: '#2563eb', width: 3 },
  classified: { stroke: '#7c3aed', width: 4 },
  nato: { stroke: '#047857', width: 5 },
};
const CLOSED: Look = { stroke: '#b91c1c', width: 2, dash: '6 5' };

const ROW_HEIGHT = 64;
const TOP = 72;
const SELF_X = 150;
const PEER_X = 620;
const BOX = { width: 240, height: 40 };
const WIDTH = 780;

/** An SVG document of its own: no scripts, no fonts, no references. All names are escaped. */
export function graphSvg({ self, now, edges }: TrustGraph): string {
  const height = TOP + Math.max(1, edges.length) * ROW_HEIGHT + 48;
  const middle = TOP + ((Math.max(1, edges.length) - 1) * ROW_HEIGHT) / 2 + BOX.height / 2;
  const title = `Trust of ${self}, ${new Date(now).toISOString().slice(0, 16).replace('T', ' ')} UTC`;
  const parts = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-labelledby="title">`,
    `<title id="title">${xmlText(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(24, 36, title, { size: 16, weight: 600, anchor: 'start' }),
    ...edges.map((edge, i) => edgeSvg(edge, middle, TOP + i * ROW_HEIGHT + BOX.height / 2)),
    box(SELF_X, middle, self, '#111827'),
    ...edges.map(({ peer }, i) => box(PEER_X, TOP + i * ROW_HEIGHT + BOX.height / 2, peer, '#374151')),
    legend(height - 18),
    '</svg>',
  ];
  return `${parts.join('\n')}\n`;
}

function edgeSvg(
  { level, state, not_after: notAfter }: TrustGraph['edges'][number],
  fromY: number,
  toY: number,
): string {
  const { stroke, width, dash } = state === 'in_force' ? (LEVEL_LOOKS[level] ?? CLOSED) : CLOSED;
  const [x1, x2] = [SELF_X + BOX.width / 2, PEER_X - BOX.width / 2];
  const bend = (x1 + x2) / 2;
  const path = `M ${x1} ${fromY} C ${bend} ${fromY} ${bend} ${toY} ${x2} ${toY}`;
  const until = notAfter === undefined ? '' : ` until ${new Date(notAfter).toISOString().slice(0, 10)}`;
  const words = state === 'in_force' ? `${level}${until}` : state.replaceAll('_', ' ');
  const dashes = dash === undefined ? '' : ` stroke-dasharray="${dash}"`;
  return [
    `<path d="${path}" fill="none" stroke="${stroke}" stroke-width="${width}"${dashes}/>`,
    text(x2 - 8, toY - 10, words, { size: 12, weight: 400, anchor: 'end', color: stroke }),
  ].join('\n');
}

function box(x: number, y: number, name: string, fill: string): string {
  const { width, height } = BOX;
  return [
    `<rect x="${x - width / 2}" y="${y - height / 2}" width="${width}" height="${height}" rx="8" fill="${fill}"/>`,
    text(x, y + 5, shortened(name), { size: 14, weight: 600, anchor: 'middle', color: '#ffffff' }),
  ].join('\n');
}

function legend(y: number): string {
  return Object.entries({ ...LEVEL_LOOKS, closed: CLOSED })
    .map(([name, { stroke, width, dash }], i) => {
      const x = 24 + i * 120;
      const dashes = dash === undefined ? '' : ` stroke-dasharray="${dash}"`;
      return `<line x1="${x}" y1="${y - 4}" x2="${x + 28}" y2="${y - 4}" stroke="${stroke}" stroke-width="${width}"${dashes}/>\n${text(x + 36, y, name, { size: 12, weight: 400, anchor: 'start' })}`;
    })
    .join('\n');
}

interface TextLook {
  readonly size: number;
  readonly weight: number;
  readonly anchor: 'start' | 'middle' | 'end';
  readonly color?: string;
}

function text(x: number, y: number, words: string, { size, weight, anchor, color = '#111827' }: TextLook): string {
  return `<text x="${x}" y="${y}" font-family="sans-serif" font-size="${size}" font-weight="${weight}" text-anchor="${anchor}" fill="${color}">${xmlText(words)}</text>`;
}

const NAME_LENGTH_MAX = 28;

function shortened(name: string): string {
  return name.length <= NAME_LENGTH_MAX ? name : `${name.slice(0, NAME_LENGTH_MAX - 1)}…`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Names come from other organisations: nothing in them may be read as markup. Control characters have no place in XML. */
export function xmlText(words: string): string {
  const printable = [...words].filter((character) => (character.codePointAt(0) ?? 0) >= 0x20).join('');
  return printable.replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '');
}
