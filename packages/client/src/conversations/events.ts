import type { ConversationId } from '@norc/protocol/base';
import type { ClientWrite } from '../store/port.ts';
import type { MessageRow } from '../store/rows.ts';
import type { EngineEvent } from './context.ts';

/**
 * What the application is told about a stored transaction. Derived from the writes, so
 * that nothing is told that is not stored, and nothing stored goes untold.
 */
export function eventsOf(writes: readonly ClientWrite[], duplicates: readonly number[]): readonly EngineEvent[] {
  const events: EngineEvent[] = [];
  const changed = new Set<ConversationId>();
  const marked = new Set<ConversationId>();
  for (const [index, write] of writes.entries()) {
    switch (write.op) {
      case 'message.add':
        if (!duplicates.includes(index)) events.push(added(write.message));
        break;
      case 'message.order':
      case 'message.state':
        events.push({ type: 'delivery', conversationId: write.key.conversationId, messageId: write.key.messageId });
        break;
      case 'mark.advance':
        marked.add(write.conversationId);
        break;
      case 'conversation.put':
        changed.add(write.conversation.conversationId);
        break;
      case 'readMarker.advance':
        changed.add(write.conversationId);
        break;
      default:
        break;
    }
  }
  for (const conversationId of marked) events.push({ type: 'delivery', conversationId });
  // First, so that a message never comes before its conversation.
  return [...Array.from(changed, (conversationId) => ({ type: 'conversation', conversationId }) as const), ...events];
}

function added(message: MessageRow): EngineEvent {
  const { conversationId, body } = message;
  if (body.type !== 'notices') return { type: 'message', conversationId, message };
  return { type: 'notice', conversationId, notices: body.notices, message };
}
