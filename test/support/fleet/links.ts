import { type EventEmitter, once } from 'node:events';
import { systemClock } from '../../../src/fleet/clock.js';
import { Links } from '../../../src/fleet/links/links.js';
import type { Cluster } from '../../../src/fleet/links/membership.js';
import { createLogger } from '../../../src/log.js';
import { freePorts } from '../system/ports.js';

export const testSecret = Buffer.from('a secret of the tests alone');

export interface TestLinks {
	links: Links;
	cluster: Cluster;
	boot: number;
}

/** A cluster section for each name, all on loopback with one secret. */
export async function testClusters(names: readonly string[], secret = testSecret): Promise<Map<string, Cluster>> {
	const ports = await freePorts(names.length);
	const entries = names.map((name, index) => ({
		name,
		url: `ws://127.0.0.1:${ports[index]}`,
		port: ports[index] ?? 0,
	}));
	return new Map(
		entries.map(({ name, port }) => [
			name,
			{
				listen: { host: '127.0.0.1', port },
				peers: entries.filter((peer) => peer.name !== name).map(({ name: peer, url }) => ({ name: peer, url })),
				secret,
				tls: null,
			},
		]),
	);
}

export function makeLinks(name: string, cluster: Cluster, boot = 1, silenceMs = 3_000): Links {
	return new Links({
		cluster,
		introduce: () => ({
			node: name,
			zone: null,
			boot,
			instance: `instance-${name}`,
			process: `process-${name}-${boot}`,
			version: '0.0.0',
			memberHash: 'abc',
			members: [name, ...cluster.peers.map((peer) => peer.name)].sort(),
		}),
		clock: systemClock,
		logger: createLogger('silent'),
		pingEveryMs: Math.max(20, silenceMs / 3),
		silenceMs,
	});
}

/** Waits until the condition holds, looking again at each of the emitter's events; fails after `withinMs`. */
export async function until(
	emitter: EventEmitter,
	events: readonly string[],
	condition: () => boolean,
	what: string,
	withinMs = 20_000,
): Promise<void> {
	const signal = AbortSignal.timeout(withinMs);
	while (!condition()) {
		const next = new AbortController();
		const either = AbortSignal.any([signal, next.signal]);
		try {
			await Promise.race(events.map((event) => once(emitter, event, { signal: either })));
		} catch (error) {
			if (signal.aborted) throw new Error(`not within ${withinMs} ms: ${what}`);
			throw error;
		} finally {
			next.abort();
		}
	}
}
