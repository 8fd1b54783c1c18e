/**
 * What links cost a daemon that has nothing to do: its processor time with so many peers, less its time without any. The
 * daemon is a real one, as configured by default; its peers are links of this process, so their cost is not counted.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { memberHash } from '../../src/config/checks/cluster.js';
import { systemClock } from '../../src/fleet/clock.js';
import { Links } from '../../src/fleet/links/links.js';
import { createLogger } from '../../src/log.js';
import type { PeerMessage } from '../../src/fleet/core/events.js';
import { makeFleet, type RealNode } from '../support/fleet/nodes.js';
import { freePorts } from '../support/system/ports.js';
import { type Figure, median } from './figures.js';
import { processorMs } from './processor-time.js';

const shareMax: Record<number, number> = { 100: 2 };
const leaseMs = 3_000;
/** Whole rounds of pings. */
const windowMs = 4 * leaseMs;
const settleMs = 3_000;
/** In the middle of the alphabet: of one half of its links it is the end that pings, of the other half not. */
const daemonName = 'm';

export async function linkFigures(peerCounts: readonly number[], windows: number): Promise<Figure[]> {
	const alone = await shareOfDaemon(0, windows);
	const figures: Figure[] = [{ what: 'idle daemon without peers', value: alone, unit: '% of a core' }];
	for (const count of peerCounts) {
		const value = (await shareOfDaemon(count, windows)) - alone;
		const most = shareMax[count];
		figures.push({
			what: `links to ${count} idle peers`,
			value,
			unit: '% of a core',
			...(most !== undefined && { most }),
		});
	}
	return figures;
}

/** Per cent of a core, the median of several windows. */
async function shareOfDaemon(peerCount: number, windows: number): Promise<number> {
	const fleet = await makeFleet([{ name: daemonName }]);
	const [node] = fleet.nodes;
	if (!node) throw new Error('unreachable');
	const peers: Links[] = [];
	try {
		if (peerCount > 0) peers.push(...(await peersOf(node, fleet.folder, peerCount)));
		await fleet.start();
		await Promise.all(peers.filter((links) => links.live().length === 0).map((links) => once(links, 'up')));
		await delay(settleMs);
		const shares: number[] = [];
		for (let window = 0; window < windows; window++) {
			const [began, before] = [performance.now(), processorMs(node.child?.pid ?? 0)];
			await delay(windowMs);
			shares.push((100 * (processorMs(node.child?.pid ?? 0) - before)) / (performance.now() - began));
		}
		const lost = peers.filter((links) => links.live().length === 0).length;
		if (lost > 0) throw new Error(`${lost} of ${peerCount} links were lost`);
		return median(shares);
	} finally {
		for (const links of peers) links.close();
		await fleet.end();
	}
}

/** Peers that are linked with the daemon alone, though they name all the members. */
async function peersOf(node: RealNode, folder: string, count: number): Promise<Links[]> {
	const secret = readFileSync(`${folder}/secret`, 'utf8');
	const ports = await freePorts(count);
	const half = count / 2;
	const names = ports.map((_, index) => `${index < half ? 'a' : 'z'}${index}`);
	const listed = ports.map((port, index) => ({ name: names[index] ?? '', url: `ws://127.0.0.1:${port}` }));
	const daemon = { name: daemonName, url: `ws://127.0.0.1:${node.ports.cluster}` };
	const listen = { host: '127.0.0.1', port: node.ports.cluster };
	node.configure({ cluster: { listen, secret_file: `${folder}/secret`, peers: [daemon, ...listed] } });
	const members = [daemonName, ...names].sort();
	const made = names.map((name, index) => peer(name, members, daemon, ports[index] ?? 0, Buffer.from(secret.trim())));
	await Promise.all(made.map((links) => links.start()));
	return made;
}

function peer(
	name: string,
	members: string[],
	daemon: { name: string; url: string },
	port: number,
	secret: Buffer,
): Links {
	const hash = memberHash(members);
	const said = { zone: null, boot: 1, instance: `i-${name}`, process: `p-${name}`, version: '0.0.0' };
	const links = new Links({
		cluster: { listen: { host: '127.0.0.1', port }, peers: [daemon], secret, tls: null },
		introduce: () => ({ node: name, ...said, memberHash: hash, members }),
		clock: systemClock,
		logger: createLogger('silent'),
		pingEveryMs: leaseMs / 3,
		silenceMs: leaseMs,
	});
	links.setMaxListeners(0);
	const greeting: PeerMessage = {
		kind: 'greeting',
		promised: { counter: 0, node: '' },
		voting: true,
		instance: said.instance,
		memberHash: hash,
		readiness: { apps: [], availability: null, draining: false },
		open: [],
		stranger: false,
		catchUp: null,
	};
	links.on('up', () => links.send(daemon.name, JSON.stringify(greeting)));
	return links;
}
