import type { MarkingTone } from '@norc/client';

/** The 16 colors that the user's own terminal theme defines. */
export type Color =
  | 'black'
  | 'red'
  | 'green'
  | 'yellow'
  | 'blue'
  | 'magenta'
  | 'cyan'
  | 'white'
  | 'gray'
  | 'brightRed'
  | 'brightGreen'
  | 'brightYellow'
  | 'brightBlue'
  | 'brightMagenta'
  | 'brightCyan'
  | 'brightWhite';

export interface Style {
  readonly fg?: Color;
  readonly bold?: boolean;
  readonly dim?: boolean;
  readonly underline?: boolean;
  readonly inverse?: boolean;
  /** A marking bar: its colors are reserved for markings and used for nothing else. */
  readonly marking?: MarkingTone;
}

/** What the terminal may be asked for. */
export interface Palette {
  /** False with NO_COLOR: bold, dim and inverse stay, since they are no colors. */
  readonly color: boolean;
  /** COLORTERM says so: marking bars get their exact colors. */
  readonly trueColor: boolean;
  /** Level bars, arrows and lines as signs, or their ASCII forms. */
  readonly unicode: boolean;
}

export const PLAIN: Style = {};

const FG: Readonly<Record<Color, number>> = {
  black: 30,
  red: 31,
  green: 32,
  yellow: 33,
  blue: 34,
  magenta: 35,
  cyan: 36,
  white: 37,
  gray: 90,
  brightRed: 91,
  brightGreen: 92,
  brightYellow: 93,
  brightBlue: 94,
  brightMagenta: 95,
  brightCyan: 96,
  brightWhite: 97,
};

/** Background and text, in the colors of the usual marking banners. */
const MARKING_TRUE: Readonly<Record<MarkingTone, string>> = {
  unclassified: '48;2;0;122;51;38;2;255;255;255',
  controlled: '48;2;80;43;133;38;2;255;255;255',
  restricted: '48;2;11;92;138;38;2;255;255;255',
  confidential: '48;2;0;51;160;38;2;255;255;255',
  secret: '48;2;200;16;46;38;2;255;255;255',
  top_secret: '48;2;255;140;0;38;2;0;0;0',
};

const MARKING_16: Readonly<Record<MarkingTone, string>> = {
  unclassified: '42;30',
  controlled: '45;97',
  restricted: '46;30',
  confidential: '44;97',
  secret: '41;97',
  top_secret: '43;30',
};

/** Parameters of the SGR sequence that sets exactly this style. */
export function sgr(style: Style, palette: Palette): string {
  const parts = ['0'];
  if (style.bold || style.marking !== undefined) parts.push('1');
  if (style.dim) parts.push('2');
  if (style.underline) parts.push('4');
  if (style.inverse || (style.marking !== undefined && !palette.color)) parts.push('7');
  if (palette.color && style.fg !== undefined) parts.push(String(FG[style.fg]));
  if (palette.color && style.marking !== undefined) {
    parts.push((palette.trueColor ? MARKING_TRUE : MARKING_16)[style.marking]);
  }
  return parts.join(';');
}

type Environment = Readonly<Record<string, string | undefined>>;

/** https://no-color.org, COLORTERM, TERM and the locale's character set. */
export function paletteOf(environment: Environment): Palette {
  const { NO_COLOR, COLORTERM = '', TERM, LC_ALL, LC_CTYPE, LANG } = environment;
  const locale = [LC_ALL, LC_CTYPE, LANG].find((value) => value !== undefined && value !== '') ?? '';
  return {
    color: (NO_COLOR ?? '') === '' && TERM !== 'dumb',
    trueColor: /^(truecolor|24bit)$/.test(COLORTERM),
    unicode: process.platform === 'win32' || process.platform === 'darwin' || /utf-?8/i.test(locale),
  };
}
