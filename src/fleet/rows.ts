/** The rows that operations show of this node and its peers. */
import type { Member } from '../rollout/messages.js';
import type { Readiness } from '../rollout/types.js';
import type { PeerStatus } from './links/links.js';
import type { ClusterNode, ReplicationRow } from './types.js';

/** `readiness`: as the peer last said it over the present link. */
export function peerRow(
	{ name, zone }: Member,
	peer: PeerStatus | undefined,
	readiness: Readiness | undefined,
): ClusterNode {
	return {
		name,
		zone,
		link: peer?.link ? 'up' : 'down',
		boot: peer?.hello?.boot ?? null,
		ready: readiness ? isReady(readiness) : null,
		availability: readiness?.availability ?? null,
		version: peer?.hello?.version ?? null,
		configuration: readiness ? (readiness.configuration ?? 'file') : null,
		rtt_ms: rounded(peer?.rttMs),
		last_seen: peer?.lastSeen ?? null,
		reason: peer?.reason ?? null,
		clock_offset_ms:
			peer?.clockOffsetMs === undefined || peer.clockOffsetMs === null ? null : Math.round(peer.clockOffsetMs),
		authorities: readiness?.authorities ?? null,
	};
}

export function ownRow(
	{ name, zone }: Member,
	{ boot, version, now, readiness }: { boot: number; version: string; now: number; readiness: Readiness },
): ClusterNode {
	return {
		name,
		zone,
		link: 'self',
		boot,
		ready: isReady(readiness),
		availability: readiness.availability,
		version,
		configuration: readiness.configuration ?? 'file',
		rtt_ms: null,
		last_seen: Math.round(now),
		reason: null,
		clock_offset_ms: null,
		authorities: readiness.authorities ?? null,
	};
}

export function replicationRow(peer: PeerStatus): ReplicationRow {
	return {
		node: peer.node,
		url: peer.url,
		connected: peer.link !== null,
		since: peer.since,
		rtt_ms: rounded(peer.rttMs),
		sent: peer.sent,
		received: peer.received,
		reconnects: peer.reconnects,
	};
}

/** As in `/readyz`: every app has a healthy worker, the node is not taken out and does not drain. */
function isReady({ apps, availability, draining }: Readiness): boolean {
	return !draining && availability !== 'Unavailable' && apps.every((app) => app.healthy > 0);
}

function rounded(milliseconds: number | null | undefined): number | null {
	return milliseconds === null || milliseconds === undefined ? null : Math.round(milliseconds * 1000) / 1000;
}
