import { isIP } from 'node:net';
import type { NodeName } from '../../rollout/types.js';
import { plainAddress } from '../../system/connections/source-address.js';
import type { Link } from './link.js';
import type { Hello } from './handshake.js';

/** What {@link Links} knows of one peer. */
export interface Peer {
	node: NodeName;
	url: string;
	live: { link: Link; id: string; serial: number; since: number } | null;
	dialing: { cancel(): void; link?: Link | null } | null;
	cancelRetry: (() => void) | null;
	attempts: number;
	hello: Hello | null;
	reason: string | null;
	/** The last connection in its name that was refused here, since there was a link. */
	refused: { remote: string; reason: string } | null;
	/** On the own monotonic clock; null: never. */
	lastSeenAt: number | null;
	links: number;
	/** Where it has been seen or is configured to be. */
	addresses: Set<string>;
	/** Of links that are gone. */
	sent: number;
	received: number;
}

export function newPeer(node: NodeName, url: string): Peer {
	return {
		node,
		url,
		live: null,
		dialing: null,
		cancelRetry: null,
		attempts: 0,
		hello: null,
		reason: 'not connected yet',
		refused: null,
		lastSeenAt: null,
		links: 0,
		addresses: configuredAddresses(url),
		sent: 0,
		received: 0,
	};
}

/** A name is not resolved: a peer whose address is not known yet competes with strangers until it has proven itself. */
export function configuredAddresses(url: string): Set<string> {
	const host = URL.canParse(url) ? new URL(url).hostname.replace(/^\[(.*)\]$/, '$1') : '';
	return new Set(isIP(host) ? [plainAddress(host)] : []);
}

/** A connection in the peer's name was refused here. One from elsewhere never hides one from an address of the peer. */
export function noteRefusal(peer: Peer, remote: string, reason: string): void {
	const known = (of: string): boolean => peer.addresses.has(addressOf(of));
	if (peer.live || (peer.refused && known(peer.refused.remote) && !known(remote))) return;
	peer.refused = { remote, reason };
}

/** Why there is no link, from both directions; null while there is one. */
export function whyDown({ live, reason, refused }: Peer): string | null {
	if (live) return null;
	const texts = [
		...(reason === null ? [] : [reason]),
		...(refused === null ? [] : [`a connection in its name from ${refused.remote} is refused: ${refused.reason}`]),
	];
	return texts.length === 0 ? null : texts.join('; ');
}

/** The address of an `address:port`. */
export const addressOf = (remote: string): string => plainAddress(remote.slice(0, remote.lastIndexOf(':')));
