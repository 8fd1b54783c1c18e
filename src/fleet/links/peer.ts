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
	lastSeen: number | null;
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
		lastSeen: null,
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

/** The address of an `address:port`. */
export const addressOf = (remote: string): string => plainAddress(remote.slice(0, remote.lastIndexOf(':')));
