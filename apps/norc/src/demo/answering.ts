import type { ConversationId } from '@norc/protocol/base';
import type { DemoDevice } from './devices.ts';
import { textOf } from './watch.ts';

/**
 * Keeps one device of the demo at work after the script, so that whoever joins sees
 * delivered and read marks, and gets an answer.
 */
export function answerOn({ client }: DemoDevice, onFault: (fault: unknown) => void): () => void {
  return client.on('message', ({ conversationId, entry }) => {
    if (entry.user === client.self.user || entry.seq === undefined) return;
    void answer(conversationId, entry.seq).catch(onFault);
  });

  async function answer(id: ConversationId, seq: number): Promise<void> {
    const view = await client.timeline(id);
    const item = view?.items.find((one) => one.seq === seq);
    const text = item?.type === 'message' ? textOf(item) : undefined;
    await client.markRead(id, seq);
    if (text === undefined) return;
    const letters = [...text].length;
    await client.send(id, `(anna's phone is a script) I read your ${letters === 1 ? 'letter' : `${letters} letters`}.`);
  }
}
