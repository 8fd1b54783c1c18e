/**
 * Many peers of one daemon in one process: `node cost-peers.js OPTIONS`. Their links are real; what they say is scripted and no
 * more than a node has to say, so that they take little of the machine that the daemon is measured on. Each is linked with the
 * daemon alone. Tells `{linked}` over IPC as links come and go.
 */
import { readFileSync } from 'node:fs';
import { memberHash } from '../../src/config/checks/cluster.js';
import { systemClock } from '../../src/fleet/clock.js';
import { Links } from '../../src/fleet/links/links.js';
import { createLogger } from '../../src/log.js';
import type { PeerMessage } from '../../src/fleet/core/events.js';
import type { Report } from '../../src/rollout/messages.js';
import type { Epoch, NodeRecord, Snapshot } from '../../src/rollout/types.js';

export interface PeersOptions {
	daemon: { name: string; url: string };
	peers: { name: string; port: number }[];
	secretFile: string;
	leaseMs: number;
	stepMs: number;
	workers: number;
}

const options = JSON.parse(process.argv[2] ?? '') as PeersOptions;
const { daemon, peers, leaseMs, stepMs } = options;
const members = [daemon.name, ...peers.map(({ name }) => name)].sort();
const hash = memberHash(members);
const secret = Buffer.from(readFileSync(options.secretFile, 'utf8').trim());
const logger = createLogger('silent');
let linked = 0;

class ScriptedPeer {
	readonly #links: Links;
	#promised: Epoch = { counter: 0, node: '' };
	#sequence = 0;
	#echo = 0;
	#have: Report['have'] = [];
	#ended: string[] = [];
	#record: NodeRecord | null = null;
	#progress: string | null = null;
	#pid: number;

	constructor(
		readonly name: string,
		port: number,
	) {
		this.#pid = 1_000 + 10 * port;
		const said = { zone: null, boot: 1, instance: `i-${name}`, process: `p-${name}`, version: '0.0.0' };
		this.#links = new Links({
			cluster: { listen: { host: '127.0.0.1', port }, peers: [daemon], secret, tls: null },
			introduce: () => ({ node: name, ...said, memberHash: hash, members }),
			clock: systemClock,
			logger,
			pingEveryMs: leaseMs / 3,
			silenceMs: leaseMs,
		});
		this.#links.on('up', () => {
			linked += 1;
			process.send?.({ linked });
			this.#send({
				kind: 'greeting',
				promised: this.#promised,
				voting: true,
				instance: said.instance,
				memberHash: hash,
				readiness: this.#readiness(),
				open: [],
				stranger: false,
				catchUp: { open: [], ended: [] },
			});
		});
		this.#links.on('down', () => {
			linked -= 1;
			process.send?.({ linked });
		});
		this.#links.on('frame', ({ text }) => {
			// The largest of what an earlier build sends, and nothing that a peer answers.
			if (!text.startsWith('{"kind":"view')) this.#hear(JSON.parse(text) as PeerMessage);
		});
	}

	start(): Promise<void> {
		return this.#links.start();
	}

	#send(message: PeerMessage): void {
		this.#links.send(daemon.name, JSON.stringify(message));
	}

	#hear(message: PeerMessage): void {
		switch (message.kind) {
			case 'prepare':
				this.#promised = message.epoch;
				this.#echo = 0;
				this.#send({ kind: 'promise', epoch: message.epoch, report: this.#report(), open: [], ended: [] });
				return;
			case 'heartbeat':
				this.#echo = message.number;
				this.#tell();
				return;
			case 'store':
				this.#have = message.open.map(({ spec, flags }) => ({ rollout: spec.id, version: flags.version }));
				this.#ended.push(...message.ended.map(({ rollout }) => rollout));
				if (message.open.length === 0) this.#record = null;
				this.#tell();
				return;
			case 'check': {
				const { epoch, rollout } = message;
				const result = { fault: null, members: null, memberHash: null, configHash: null };
				this.#send({ kind: 'checked', epoch, rollout, result });
				return;
			}
			case 'restart':
				if (this.#record?.rollout !== message.rollout) this.#begin(message);
				return;
			default:
				return;
		}
	}

	#begin({ rollout, attempt, epoch }: Extract<PeerMessage, { kind: 'restart' }>): void {
		const before = this.#snapshot();
		const record: NodeRecord = {
			...{ rollout, attempt, epoch, before },
			...{ state: 'restarting', begun: 1, startedAt: Date.now(), endedAt: null, result: null },
		};
		this.#record = record;
		this.#progress = `0 of ${options.workers} workers healthy`;
		this.#tell();
		setTimeout(() => {
			this.#pid += options.workers;
			const { workers, ...rest } = this.#snapshot();
			const after = { ...rest, workers: workers.map((one) => ({ ...one, proven: true, joined: true })) };
			const proof = { wanted: options.workers, oldGone: true, cutOff: 0, reason: null };
			const result = { outcome: 'back' as const, before, after, ...proof };
			this.#record = { ...record, state: 'back', endedAt: Date.now(), result };
			this.#progress = null;
			this.#tell();
		}, stepMs);
	}

	#tell(): void {
		this.#send({ kind: 'report', epoch: this.#promised, report: this.#report() });
	}

	#report(): Report {
		this.#sequence += 1;
		const record = this.#record;
		return {
			boot: 1,
			sequence: this.#sequence,
			echo: this.#echo,
			readiness: this.#readiness(),
			memberHash: hash,
			out: record?.state === 'restarting' ? [record.rollout] : [],
			records: record ? [record] : [],
			have: this.#have,
			ended: this.#ended,
			progress: this.#progress,
		};
	}

	#readiness(): Report['readiness'] {
		const { workers } = options;
		return { apps: [{ app: 'web', wanted: workers, healthy: workers }], availability: null, draining: false };
	}

	#snapshot(): Snapshot {
		const workers = Array.from({ length: options.workers }, (_, index) => {
			const pid = this.#pid + index;
			return { id: `web-${pid}`, pid, started: Date.now() };
		});
		return { boot: 1, workers, links: this.#links.live(), configHash: hash };
	}
}

const made = peers.map(({ name, port }) => new ScriptedPeer(name, port));
process.on('disconnect', () => process.exit());
await Promise.all(made.map((peer) => peer.start()));
