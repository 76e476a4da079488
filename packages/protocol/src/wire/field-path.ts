/**
 * Where in a message a codec is, kept so that an error can name the field. Names
 * come from our schemas only: a peer's unknown key never shows up in an error text.
 */
export class FieldPath {
  readonly #names: string[] = [];
  #level = 0;

  /** Goes into a struct or list, whose first field or item is `name`. */
  enter(name: string): void {
    this.#names[this.#level] = name;
    this.#level += 1;
  }

  /** The field that comes next in the same struct. */
  at(name: string): void {
    this.#names[this.#level - 1] = name;
  }

  leave(): void {
    this.#level -= 1;
  }

  /** `entries[].body`; `message` for the whole. */
  toString(): string {
    return this.#names.slice(0, this.#level).join('.').replaceAll('.[]', '[]') || 'message';
  }
}

/** Stands for the items of a list. */
export const ITEM = '[]';
/** Stands for a field that the schema does not know. */
export const UNKNOWN = '?';
