import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { messageOf, RollcallError } from '../errors.js';
import { leftNote } from './left.js';
import { knownPeers, withAuthorities } from './core/cut-off.js';
import { coreRequest, planWith } from './core/plan.js';
import { type CoreRequest, endedMax, type Member, type NodeApps } from '../rollout/messages.js';
import type { NodeName, Readiness, RolloutId, RolloutPlan, RolloutView, Snapshot } from '../rollout/types.js';
import { type Clock, systemClock } from './clock.js';
import { coreHello, freshCore } from './core/create-core.js';
import { Frames } from './links/frames.js';
import type { Introduction } from './links/link.js';
import { Links } from './links/links.js';
import {
	assertCanFollow,
	assertCertificateInDate,
	type Membership,
	readMembership,
	withZones,
} from './links/membership.js';
import type { Core } from './ports.js';
import { openRecordLog, type RecordLog, type Sync } from './shell/record-log.js';
import { ownRow, peerRow, replicationRow } from './rows.js';
import { Shell } from './shell/shell.js';
import { checkHere, noConfigHash, runStep, type StepPorts } from './core/run-step.js';
import type {
	ClusterNode,
	Fleet,
	FleetEvents,
	FleetOptions,
	FleetProbe,
	OpenedFleet,
	ReplicationRow,
	RolloutRequest,
} from './types.js';
import { messageBytesMax } from './links/websocket.js';
import type { FleetMessage } from './messages.js';
import { type AskedNodes, isQueryMessage, type NodeAnswer, Queries } from './queries/queries.js';
import type { LogLine } from './queries/merged-by-time.js';
import type { Query } from './queries/schema.js';
import type { Hello } from './links/handshake.js';

/** File name below the state folder. */
export const recordsFile = 'records.log';

/**
 * Reads this node's records and takes its address, so that a start that fails leaves nothing behind. Throws
 * `configuration` (a key, certificate or secret that cannot be used), `address_in_use`, `unavailable` (the record file).
 */
export async function openFleet(options: FleetOptions): Promise<OpenedFleet> {
	const membership = readMembership(options.config);
	const log = await openRecordLog(join(options.stateDir, recordsFile));
	const fleet = new RunningFleet(options, membership, log);
	try {
		await fleet.open();
	} catch (error) {
		await fleet.close();
		throw error;
	}
	return fleet;
}

/** Opens the fleet's side of this node and begins; throws what both throw. */
export async function createFleet(options: FleetOptions): Promise<Fleet & FleetProbe> {
	const fleet = await openFleet(options);
	try {
		await fleet.begin();
	} catch (error) {
		await fleet.close();
		throw error;
	}
	return fleet;
}

class RunningFleet extends EventEmitter<FleetEvents> implements OpenedFleet {
	readonly #clock: Clock;
	readonly #links: Links;
	readonly #frames: Frames;
	readonly #shell: Shell;
	readonly #queries: Queries;
	readonly #closing = new AbortController();
	readonly #process = randomUUID();
	/** As peers last said it of themselves. */
	readonly #readiness = new Map<NodeName, Readiness>();
	#hasBooted = false;

	constructor(
		private readonly options: FleetOptions,
		private membership: Membership,
		private readonly log: RecordLog,
	) {
		super();
		this.setMaxListeners(0);
		const { config, local, logger } = options;
		this.#clock = options.clock ?? systemClock;
		this.#frames = new Frames(logger);
		const leaseMs = config.rollout.lease;
		this.#links = new Links({
			cluster: membership.cluster,
			introduce: () => this.#introduction(),
			clock: this.#clock,
			logger,
			pingEveryMs: leaseMs / 3,
			silenceMs: leaseMs,
		});
		this.#shell = new Shell({
			createCore: () => freshCore(config, this.membership, this.#clock),
			log,
			process: this.#process,
			clock: this.#clock,
			logger,
			send: (to, message) => this.#send(to, message),
			readiness: () => this.#readinessHere(),
			snapshot: () => this.#snapshot(),
			check: (request) => checkHere(this.#stepPorts(), request),
			runStep: (step, onProgress) => runStep(this.#stepPorts(), step, onProgress),
			runHook: (request) => local.runHook(request),
			booted: (boot, instance) => this.#booted(boot, instance),
			newId: randomUUID,
		});
		this.#queries = new Queries({
			members: () => this.membership.members.map(({ name }) => name),
			self: () => this.membership.self,
			answer: (query, signal, peer) => local.answer(query, signal, peer),
			send: (to, message) => this.#send(to, message),
			clockAheadMs: (peer) => this.#links.status().find(({ node }) => node === peer)?.clockOffsetMs ?? null,
			newId: randomUUID,
			clock: this.#clock,
			logger,
		});
	}

	async open(): Promise<void> {
		this.#listen();
		await this.#links.bind();
		this.options.onApplied?.(this.membership);
	}

	async begin(): Promise<void> {
		const { damage } = this.log;
		await this.#shell.start(this.log.recovered, damage?.forgotten ?? false);
		await this.#links.start();
		if (!damage) return;
		const kept = damage.keptAs === null ? 'it could not be kept aside' : `kept as ${damage.keptAs}`;
		const reason = `cut at byte ${damage.offset}, ${damage.lostBytes} bytes lost, ${kept}`;
		this.options.logger.error({ event: 'records_damaged', file: this.log.file, reason, forgotten: damage.forgotten });
		// The creator adds its listeners in this turn, so events start with the next.
		setImmediate(() => this.emit('recordError', { file: this.log.file, reason }));
	}

	async startRollout(request: RolloutRequest): Promise<RolloutView> {
		const left = request.replicated ? this.#leftNote() : null;
		if (left !== null) throw new RollcallError('unavailable', left);
		return required(await this.#shell.request(coreRequest(request)));
	}
	async plan(request: RolloutRequest): Promise<RolloutPlan> {
		const { fault, apps } = await this.#lookAtFiles(coreRequest(request));
		return planWith(this.#core().plan(coreRequest(request), apps), fault, apps);
	}
	async pause(id: RolloutId, user = ''): Promise<RolloutView> {
		return required(await this.#shell.operator({ kind: 'pause', rollout: id, user }));
	}
	async resume(id: RolloutId, skip: readonly NodeName[], user = ''): Promise<RolloutView> {
		return required(await this.#shell.operator({ kind: 'resume', rollout: id, skip: [...skip], user }));
	}
	async abort(id: RolloutId, user = '', scope: 'fleet' | 'node' = 'fleet'): Promise<RolloutView> {
		const kind = scope === 'fleet' ? 'abort' : 'end_here';
		return required(await this.#shell.operator({ kind, rollout: id, user }));
	}
	async admit(node: NodeName, user = ''): Promise<void> {
		await this.#shell.operator({ kind: 'admit', node, user });
	}
	get(id: RolloutId): RolloutView | undefined {
		return this.#core().view(id);
	}
	list(limit: number): RolloutView[] {
		return this.#core().views(limit);
	}
	complaint(): string | null {
		const { core, endedBy, whyNoCore } = this.#shell;
		if (!core) return endedBy === '' ? null : whyNoCore;
		return this.#leftNote();
	}

	#leftNote(): string | null {
		const { core } = this.#shell;
		return core ? leftNote(this.membership.self, this.#links.status(), () => core.views(endedMax)) : null;
	}

	clusterStatus(): { node: NodeName; boot: number; coordinator: NodeName | null; nodes: ClusterNode[] } {
		const { self, members } = this.membership;
		const peers = new Map(this.#links.status().map((peer) => [peer.node, peer]));
		const nodes = members.map((member): ClusterNode => {
			if (member.name === self) return this.#ownRow(member);
			const peer = peers.get(member.name);
			return peerRow(member, peer, peer?.link ? this.#readiness.get(member.name) : undefined);
		});
		return { node: self, boot: this.#shell.boot, coordinator: this.#shell.core?.coordinator() ?? null, nodes };
	}

	replication(): ReplicationRow[] {
		return this.#links.status().map(replicationRow);
	}

	ask(query: Query, asked: AskedNodes): NodeAnswer[] {
		return this.#queries.ask(query, asked);
	}

	logs(...[query, asked]: Parameters<Fleet['logs']>): AsyncIterable<LogLine> {
		return this.#queries.logs(query, asked);
	}

	stores(): { table: string; record_count: number; table_size: number }[] {
		const { entries, bytes } = this.log.size();
		return [{ table: 'rollout_records', record_count: entries, table_size: bytes }];
	}

	recordSyncs(): readonly Sync[] {
		return this.log.syncs();
	}

	#core(): Core {
		const { core, whyNoCore } = this.#shell;
		if (!core) throw new RollcallError('unavailable', whyNoCore);
		return core;
	}

	async close(): Promise<void> {
		this.#closing.abort();
		// The core goes first: it must not take the closing of the links for the loss of its peers.
		this.#shell.close();
		this.#queries.close();
		this.#links.close();
		await this.log.close();
	}

	#listen(): void {
		const { local, logger } = this.options;
		this.#shell.on('changed', (view) => this.emit('rollout', view));
		this.#shell.on('failed', (error) => this.emit('recordError', { file: this.log.file, reason: error.message }));
		local.onReadiness(() => this.#tellReadiness());
		this.#links.on('up', ({ node, hello }) => {
			this.#frames.begin(node, hello.protocol);
			this.emit('link', { node, up: true, reason: null });
			this.#learnFrom(hello);
			this.#shell.tell({ kind: 'link_up', hello: coreHello(hello) });
		});
		this.#links.on('down', ({ node, reason }) => {
			this.#frames.end(node);
			this.emit('link', { node, up: false, reason });
			this.#queries.linkDown(node, reason);
			this.#shell.tell({ kind: 'link_down', node });
		});
		this.#links.on('frame', ({ node, link, text }) => {
			const received = this.#frames.read(node, text);
			if (received.kind === 'message') this.#received(node, received.message);
			if (received.kind !== 'fault') return;
			logger.warn({ event: 'peer_message_refused', peer: node, reason: received.reason });
			this.#links.closeLink(node, link, received.reason);
		});
	}

	/** A peer knows its own zone best; and it may have been configured with other members. */
	#learnFrom({ node, zone, memberHash, members }: Hello): void {
		const own = this.membership;
		if (memberHash !== own.memberHash) {
			const here = own.members.map((member) => member.name);
			const onlyHere = here.filter((name) => !members.includes(name));
			const onlyThere = members.filter((name) => !here.includes(name));
			this.options.logger.warn({ event: 'members_differ', peer: node, onlyHere, onlyThere });
		}
		if (zone === null || own.members.some((member) => member.name === node && member.zone === zone)) return;
		const known = own.members.map((member) => (member.name === node ? { name: node, zone } : member));
		this.membership = { ...own, members: known };
		this.#shell.tell({ kind: 'members', members: known, memberHash: own.memberHash });
	}

	#received(from: NodeName, message: FleetMessage): void {
		if (isQueryMessage(message)) {
			this.#queries.received(from, message);
			return;
		}
		if (message.kind === 'greeting') this.#readiness.set(from, message.readiness);
		if (message.kind === 'report' || message.kind === 'promise') this.#readiness.set(from, message.report.readiness);
		this.#shell.tell({ kind: 'message', from, message });
	}

	/** Answers why it was not sent; null: it is on its way. */
	#send(to: NodeName, message: FleetMessage): string | null {
		const text = this.#frames.write(to, message);
		if (text === null) return 'it runs an earlier version, which has no such message';
		if (text.length > messageBytesMax / 3 && Buffer.byteLength(text) > messageBytesMax) {
			this.options.logger.error({ event: 'message_too_long', to, kind: message.kind, characters: text.length });
			return 'the message is too long';
		}
		const isSent = this.#links.send(to, text);
		if (isSent) return null;
		const { reason } = this.#links.status().find(({ node }) => node === to) ?? {};
		return `there is no link to it: ${reason ?? 'it is not connected'}`;
	}

	#booted(boot: number, instance: string): void {
		const again = this.#hasBooted;
		this.#hasBooted = true;
		this.options.logger.info({ event: 'booted', boot, instance });
		// After a core was started anew within this process, peers must hear of its boot, and it of its peers.
		if (again) this.#links.redialAll('the node started its records anew');
	}

	/** The configuration fault that any target reports, or null. */
	async #lookAtFiles(request: CoreRequest): Promise<{ fault: string | null; apps: Record<NodeName, NodeApps> }> {
		try {
			return { fault: null, apps: await this.#shell.look(request) };
		} catch (thrown) {
			return { fault: messageOf(thrown), apps: {} };
		}
	}

	#introduction(): Introduction {
		const { self, members, memberHash } = this.membership;
		return {
			node: self,
			zone: members.find((member) => member.name === self)?.zone ?? null,
			boot: this.#shell.boot,
			instance: this.#shell.instance,
			process: this.#process,
			version: this.options.version,
			memberHash,
			members: members.map((member) => member.name),
		};
	}

	#snapshot(): Snapshot {
		return {
			boot: this.#shell.boot,
			...this.options.local.snapshot(),
			links: this.#links.live(),
			configHash: this.membership.configHash ?? noConfigHash,
		};
	}

	#stepPorts(): StepPorts {
		return {
			local: this.options.local,
			links: this.#links,
			clock: this.#clock,
			readConfig: async () => this.options.readConfig(),
			snapshot: () => this.#snapshot(),
			membership: () => this.membership,
			peers: () => knownPeers(this.#readiness, this.#links.live()),
			apply: (membership) => this.#apply(membership),
			closing: this.#closing.signal,
		};
	}

	async #apply(read: Membership): Promise<void> {
		const before = this.membership;
		const next = withZones(read, before.members);
		assertCanFollow(before, next);
		if (!next.cluster) {
			this.options.onApplied?.(next);
			return;
		}
		// The one in use stays until a better one is there: what has expired would cut this node off with its next link.
		if (next.cluster.tls?.cert !== before.cluster?.tls?.cert) assertCertificateInDate(next, this.#clock.wall());
		await this.#links.reconfigure(next.cluster);
		this.membership = next;
		this.options.onApplied?.(next);
		this.#tellReadiness();
		this.#shell.tell({ kind: 'members', members: next.members, memberHash: next.memberHash });
	}

	#ownRow(member: Member): ClusterNode {
		const { version } = this.options;
		const readiness = this.#readinessHere();
		return ownRow(member, { boot: this.#shell.boot, version, now: this.#clock.wall(), readiness });
	}

	#readinessHere(): Readiness {
		return withAuthorities(this.options.local.readiness(), this.membership);
	}

	#tellReadiness(): void {
		this.#shell.tell({ kind: 'readiness', readiness: this.#readinessHere() });
	}
}

function required(view: RolloutView | null): RolloutView {
	if (view) return view;
	throw new RollcallError('internal', 'The rollout core answered without a view.');
}
