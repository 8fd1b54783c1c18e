/** Whether files that this node takes up alone would cut it off from a peer that it is linked to, or was. */
import { authoritiesOf, validIds } from '../../config/checks/authorities.js';
import { afterAccepting, notAcceptedYet } from '../../rollout/requests/trust.js';
import type { Authorities, NodeName, Readiness } from '../../rollout/types.js';
import type { Membership } from '../links/membership.js';

/** A peer as it last said it of itself. */
export interface KnownPeer {
	node: NodeName;
	linked: boolean;
	authorities: Authorities | null;
}

/** What this node says of itself, with the certificates in use. */
export function withAuthorities(readiness: Readiness, { cluster }: Membership): Readiness {
	const authorities = authoritiesOf(cluster?.tls);
	return authorities ? { ...readiness, authorities } : readiness;
}

/** `readiness`: of each peer, as it last said it; `live`: the links that there are. */
export const knownPeers = (
	readiness: ReadonlyMap<NodeName, Readiness>,
	live: readonly { node: NodeName }[],
): KnownPeer[] =>
	[...readiness].map(([node, { authorities = null }]) => ({
		node,
		linked: live.some((link) => link.node === node),
		authorities,
	}));

/**
 * The first fault, with the way out; null if there is none. Only what the change makes worse is one: it must not stand in
 * the way of a repair. What a peer showed before it went away still counts, since it comes back with it.
 */
export function whyCutOff(
	current: Membership,
	next: Membership,
	peers: readonly KnownPeer[],
	now: number,
): string | null {
	const [before, after] = [authoritiesOf(current.cluster?.tls), authoritiesOf(next.cluster?.tls)];
	const files = next.tlsFiles;
	if (!before || !after || !files) return null;
	// An authority that has expired links no node.
	const valid = validIds(current.cluster?.tls?.ca ?? '', now);
	const accepted = before.accepts.filter(({ id }) => valid.includes(id));
	for (const { node, linked, authorities } of peers) {
		if (!authorities || !next.members.some(({ name }) => name === node)) continue;
		const { accepts, presents } = authorities;
		if (meets(accepted, presents) && !meets(after.accepts, presents))
			return afterAccepting(files.ca, node, linked ? 'presents now' : 'presented when it was last linked');
		if (linked && meets(accepts, before.presents) && !meets(accepts, after.presents))
			return notAcceptedYet(files.cert, node);
	}
	return null;
}

const meets = (accepted: Authorities['accepts'], presented: readonly string[]): boolean =>
	accepted.some(({ id }) => presented.includes(id));
