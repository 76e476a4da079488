import type { Clock } from '@norc/protocol/base';
import { type Exchange, isOver, reviewOf } from '../exchange/exchange-rows.ts';
import type { TrustService } from '../trust-service.ts';
import type { PolicyTrust } from './policy-facts.ts';
import type { OpenExchange } from './policy-plan.ts';

/** Trust as the service of the policy sees it. */
export function policyTrust(trust: Pick<TrustService, 'parts' | 'peers' | 'setPolicy'>, clock: Clock): PolicyTrust {
  return {
    get policy() {
      return trust.parts.board.policy;
    },
    setPolicy: (policy) => trust.setPolicy(policy),
    peers: () => trust.peers(),
    factsAbout: (peer) => trust.parts.board.factsAbout(peer, clock.now()),
    givenTo: (peer) => trust.parts.board.givenInForce(peer, clock.now()),
    openExchanges: () => trust.parts.exchanges.filter((one) => !isOver(one)).flatMap(openExchange),
  };
}

/** Before its request is here, an exchange asks for nothing. */
function openExchange(exchange: Exchange): readonly OpenExchange[] {
  const level = reviewOf(exchange)?.level;
  return level === undefined ? [] : [{ exchangeId: exchange.id, peer: exchange.peer, level }];
}
