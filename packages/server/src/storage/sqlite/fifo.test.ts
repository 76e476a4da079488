import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Fifo } from './fifo.ts';

test('a queue gives back what was put in, in order, however puts and takes mix', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1500, max: 1500 }), { maxLength: 20 }), (moves) => {
      const fifo = new Fifo<number>();
      const model: number[] = [];
      let next = 0;
      for (const move of moves) {
        for (let i = 0; i < move; i += 1, next += 1) {
          fifo.push(next);
          model.push(next);
        }
        for (let i = 0; i > move; i -= 1) assert.equal(fifo.shift(), model.shift());
        assert.equal(fifo.size, model.length);
      }
      assert.deepEqual([...fifo.drain()], model);
    }),
  );
});
