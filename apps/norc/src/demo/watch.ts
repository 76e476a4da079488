import type { ConversationView, MessageItem, NorcClient } from '@norc/client';
import type { ConversationId, MessageId } from '@norc/protocol/base';
import { DemoError } from './wait.ts';

const WAIT_MS_MAX = 15_000;
const EVENTS = ['conversation', 'message', 'notice', 'delivery'] as const;

/**
 * Waits until a conversation looks as expected on a device: looked at now and after each
 * change. Throws DemoError with `otherwise` when that does not come about in time.
 */
export async function watch<T>(
  client: NorcClient,
  id: ConversationId,
  find: (view: ConversationView) => T | undefined,
  otherwise: string,
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const look = async (): Promise<void> => {
    const view = await client.timeline(id);
    const found = view === undefined ? undefined : find(view);
    if (found !== undefined) resolve(found);
  };
  const stops = EVENTS.map((event) => client.on(event, () => void look().catch(reject)));
  const patience = setTimeout(() => reject(new DemoError(otherwise)), WAIT_MS_MAX);
  try {
    await look();
    return await promise;
  } finally {
    clearTimeout(patience);
    for (const stop of stops) stop();
  }
}

export function messageIn(view: ConversationView, messageId: MessageId): MessageItem | undefined {
  return view.items.find((item): item is MessageItem => item.type === 'message' && item.messageId === messageId);
}

export function textOf({ content }: MessageItem): string | undefined {
  return content.type === 'text' ? content.text : undefined;
}
