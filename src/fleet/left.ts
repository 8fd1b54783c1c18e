import type { NodeName, RolloutView } from '../rollout/types.js';
import { saysNoMember } from './links/certificate-fault.js';
import type { PeerStatus } from './links/links.js';

const wayBack =
	'stop it, or add it to cluster.peers of every node and send restart_service service=clustering_config replicated=true to one of them';

/**
 * What an operator should know of a node that is no member any more; null while any peer is linked, or nothing says so.
 * `views`: the rollouts that it knows, newest first.
 */
export function leftNote(
	self: NodeName,
	peers: readonly PeerStatus[],
	views: () => readonly RolloutView[],
): string | null {
	if (peers.length === 0 || peers.some(({ link }) => link !== null)) return null;
	const change = views().find(({ service, replicated }) => service === 'clustering_config' && replicated);
	if (change?.state === 'completed' && change.reason?.startsWith(leftText(self)))
		return `${leftText(self)} (rollout ${change.id}); ${wayBack}`;
	const disowning = peers.filter(({ reason }) => reason !== null && saysNoMember(reason)).map(({ node }) => node);
	if (disowning.length * 2 <= peers.length) return null;
	return `${self} is no member in the configuration of ${disowning.join(', ')}; ${wayBack}`;
}

const leftText = (self: NodeName): string => `${self} has left the fleet`;
