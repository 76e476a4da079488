import { en, problemOfError, type SessionStatus, type TextContext } from '@norc/client';
import type { Instant } from '@norc/protocol/base';
import type { Connection } from '../terminal/chat-model.ts';

/** How the chat shows the connection to the home server. */
export function connectionOf(status: SessionStatus, now: Instant, context: TextContext): Connection {
  switch (status.state) {
    case 'offline':
      return { state: 'offline' };
    case 'connecting':
      return { state: 'connecting' };
    case 'ready': {
      const { version, compatibilityMode } = status.facts;
      return {
        state: 'connected',
        detail: compatibilityMode ? `${version} compatibility mode` : `${version} post-quantum`,
      };
    }
    case 'waiting':
      return { state: 'offline', retrySeconds: Math.max(1, Math.ceil((status.retryAt - now) / 1000)) };
    case 'stopped':
      return { state: 'stopped', reason: en.problem(problemOfError(status.code), context) };
  }
}
