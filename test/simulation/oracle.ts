/**
 * The invariants, judged from outside: from what is on the disks, from what messages were delivered, and from what the
 * executors really did. Nothing here asks the core what it believes, save where the belief itself is the question.
 */
import { compareEpochs, compareVersions } from '../../src/rollout/epoch.js';
import type {
	CoreEffect,
	CoreEvent,
	DurableEntry,
	FlagsVersion,
	PeerMessage,
	Report,
	RolloutFlags,
} from '../../src/rollout/protocol.js';
import { isDriven } from '../../src/rollout/turn.js';
import type { Epoch, NodeRecord, RolloutSpec, RolloutView } from '../../src/rollout/types.js';
import type { Truth } from '../support/fake-executor.js';
import type { SimNode, Watcher } from '../support/sim-node.js';

export class Violation extends Error {
	constructor(
		readonly invariant: string,
		message: string,
	) {
		super(`${invariant}: ${message}`);
	}
}

/** What the oracle has seen one coordinator receive under one epoch. */
interface Witnessed {
	epoch: Epoch;
	/** When each heartbeat was sent, on the coordinator's clock; 0 is the prepare. */
	sent: Map<number, number>;
	reports: Map<string, { at: number; report: Report }>;
	/** Grants that no report has answered for. */
	grants: Map<string, { rollout: string; attempt: number; version: FlagsVersion; at: number }>;
}

interface Out {
	rollout: string;
	attempt: number;
}

interface Known {
	spec: RolloutSpec;
	/** A 200 was answered. */
	accepted: boolean;
	begun: boolean;
	skipped: Set<string>;
	ended: boolean;
	/** Every version of the flags that was stored anywhere, and the newest that a majority is known to have. */
	history: { version: FlagsVersion; flags: RolloutFlags }[];
	confirmed: FlagsVersion | null;
}

export class Oracle implements Watcher {
	readonly out = new Map<string, Out>();
	readonly rollouts = new Map<string, Known>();
	readonly violations: Violation[] = [];
	/** Requests and words that were answered, by token. */
	readonly answers = new Map<string, { ok: boolean; view: RolloutView | null; message: string }>();
	grants = 0;
	takeovers = 0;
	#witnessed = new Map<string, Witnessed>();
	/** Steps begun, as `node rollout attempt`, and nodes whose record said back. */
	#begun = new Set<string>();
	#back = new Set<string>();
	#truth = new Map<string, Truth>();
	#restarts = new Map<string, number>();
	/** Nodes whose disk was lost or put back: it no longer shows what they stored. */
	#forgetful = new Set<string>();
	#unmet = new Map<string, Set<string>>();
	#counted = new Map<string, { boot: number; sequence: number; report: Report }>();

	constructor(
		private readonly nodes: Map<string, SimNode>,
		private readonly leaseMs: number,
	) {}

	#fail(invariant: string, message: string): void {
		this.violations.push(new Violation(invariant, message));
	}

	crashed(node: SimNode): void {
		this.#witnessed.delete(node.name);
	}

	/** A node that lost its state folder has forgotten what its record said. */
	forget(node: SimNode): void {
		this.#forgetful.add(node.name);
		this.out.delete(node.name);
		for (const key of [...this.#begun]) if (key.startsWith(`${node.name} `)) this.#begun.delete(key);
		for (const key of [...this.#back]) if (key.startsWith(`${node.name} `)) this.#back.delete(key);
	}

	truth(node: SimNode, truth: Truth): void {
		this.#truth.set(`${node.name} ${truth.rollout} ${truth.attempt}`, truth);
		const out = this.out.get(node.name);
		if (truth.back || truth.whole) this.out.delete(node.name);
		else if (out) this.out.set(node.name, { rollout: truth.rollout, attempt: truth.attempt });
	}

	// -------------------------------------------------------------------------------------------------------------
	// What a node does

	effect(node: SimNode, effect: CoreEffect): void {
		switch (effect.kind) {
			case 'store':
				for (const entry of effect.entries) this.#entryStored(node, entry);
				return;
			case 'send':
				this.#sent(node, effect.to, effect.message);
				return;
			case 'run_step':
				if (effect.recovered) return;
				this.#stepBegins(node, effect.spec, effect.attempt);
				return;
			case 'note':
				this.#noted(node, effect);
				return;
			case 'answer':
				this.#answered(node, effect.token, effect.view);
				return;
			case 'refuse': {
				const { message } = effect.refusal;
				this.answers.set(effect.token, { ok: false, view: null, message });
				if (message.length === 0) this.#fail('I11', 'a refusal without a text');
				return;
			}
			case 'take_snapshot':
			case 'check':
			case 'set_timer':
			case 'clear_timer':
			case 'changed':
			case 'booted':
				return;
		}
	}

	#entryStored(node: SimNode, entry: DurableEntry): void {
		if (entry.kind === 'record') this.#recordStored(node, entry.record);
		if (entry.kind === 'open') this.#openStored(entry.spec, entry.flags);
		if (entry.kind === 'flags') this.#flagsStored(entry.rollout, entry.flags);
		if (entry.kind === 'ending') this.#endingStored(node, entry.ending.rollout, entry.ending.view);
	}

	#noted(node: SimNode, { event, fields }: Extract<CoreEffect, { kind: 'note' }>): void {
		if (event === 'step_granted') {
			const { rollout, node: target, attempt } = fields;
			this.#granted(node, String(rollout), String(target), Number(attempt));
		}
		if (event === 'node_admitted') {
			this.#witnessed.get(node.name)?.reports.delete(String(fields.node));
			for (const key of this.#counted.keys())
				if (key.startsWith(`${node.name} ${fields.node} `)) this.#counted.delete(key);
		}
		if (event === 'takeover') this.takeovers += 1;
	}

	#openStored(spec: RolloutSpec, flags: RolloutFlags): void {
		if (isDriven(spec) && !this.rollouts.has(spec.id)) {
			const skipped = new Set<string>();
			const fresh = { spec, accepted: false, begun: false, skipped, ended: false, history: [], confirmed: null };
			this.rollouts.set(spec.id, fresh);
		}
		this.#flagsStored(spec.id, flags);
	}

	#flagsStored(rollout: string, flags: RolloutFlags): void {
		const known = this.rollouts.get(rollout);
		if (!known) return;
		for (const name of flags.skipped) known.skipped.add(name);
		if (!known.history.some((one) => compareVersions(one.version, flags.version) === 0))
			known.history.push({ version: flags.version, flags });
	}

	#recordStored(node: SimNode, record: NodeRecord): void {
		const key = `${node.name} ${record.rollout}`;
		const own = this.#witnessed.get(node.name)?.grants;
		if (record.state !== 'restarting' && own?.get(node.name)?.rollout === record.rollout) own.delete(node.name);
		if (record.state === 'back') {
			this.#back.add(key);
			const truth = this.#truth.get(`${key} ${record.attempt}`);
			if (!truth?.back) this.#fail('I5', `${node.name} stored back in ${record.rollout} and is not`);
		}
	}

	#endingStored(node: SimNode, rollout: string, view: RolloutView): void {
		const known = this.rollouts.get(rollout);
		// A node that left the fleet does not know how the rest goes on.
		if (!known || known.spec.membersNext?.every((member) => member.name !== node.name)) return;
		const superseded = view.state === 'aborted' && view.reason?.startsWith('superseded');
		if (superseded && known.accepted && !known.ended && !this.#everHalted(known))
			this.#fail('conflict', `${rollout} was superseded while it was running`);
		const again = known.ended;
		known.ended = true;
		if (again) return;
		if (view.state !== 'completed') {
			if (view.state === 'aborted' && !view.reason) this.#fail('I11', `${rollout} aborted without a reason`);
			return;
		}
		for (const { name } of known.spec.members) {
			const record = this.nodes.get(name)?.disk.durable.records.find((one) => one.rollout === rollout);
			if (known.skipped.has(name) || this.#forgetful.has(name)) continue;
			if (record && record.state !== 'back')
				this.#fail('I7', `${rollout} completed although the record of ${name} is ${record.state}`);
		}
	}

	#sent(node: SimNode, to: string, message: PeerMessage): void {
		switch (message.kind) {
			case 'promise':
			case 'report':
				if (message.kind === 'promise' && (this.#unmet.get(node.name)?.size ?? 0) > 0)
					this.#fail(
						'I13',
						`${node.name} votes before it has met ${[...(this.#unmet.get(node.name) ?? [])].join(', ')}`,
					);
				if (compareEpochs(node.disk.durable.promised, message.epoch) < 0)
					this.#fail('I4', `${node.name} answered ${to} for ${text(message.epoch)} with a lower promise on disk`);
				return;
			case 'heartbeat':
				this.#witness(node, message.epoch).sent.set(message.number, node.eventNow);
				return;
			case 'prepare':
				this.#witness(node, message.epoch).sent.set(0, node.eventNow);
				return;
			case 'answer':
				if (message.answer.ok) this.#wordDone(node, message.answer.view);
				return;
			default:
				return;
		}
	}

	#witness(node: SimNode, epoch: Epoch): Witnessed {
		const known = this.#witnessed.get(node.name);
		if (known && compareEpochs(known.epoch, epoch) === 0) return known;
		const fresh: Witnessed = { epoch, sent: new Map(), reports: new Map(), grants: new Map() };
		this.#witnessed.set(node.name, fresh);
		return fresh;
	}

	delivered(node: SimNode, from: string, message: PeerMessage): void {
		if (message.kind !== 'report' && message.kind !== 'promise') return;
		const seen = this.#witnessed.get(node.name);
		if (!seen || compareEpochs(seen.epoch, message.epoch) !== 0) return;
		const { report } = message;
		const before = seen.reports.get(from);
		const newer =
			!before ||
			report.boot > before.report.boot ||
			(report.boot === before.report.boot && report.sequence > before.report.sequence);
		if (!newer) return;
		const sent = seen.sent.get(report.echo) ?? Number.NEGATIVE_INFINITY;
		seen.reports.set(from, { at: Math.max(sent, before?.at ?? Number.NEGATIVE_INFINITY), report });
		const grant = seen.grants.get(from);
		if (!grant) return;
		const record = report.records.find((one) => one.rollout === grant.rollout);
		const stored = report.have.find((one) => one.rollout === grant.rollout);
		const begun = record !== undefined && record.attempt >= grant.attempt;
		const done = record !== undefined && record.state !== 'restarting' && (begun || record.state === 'back');
		const refused = !begun && stored !== undefined && compareVersions(stored.version, grant.version) > 0;
		if (done || refused || report.ended.includes(grant.rollout)) seen.grants.delete(from);
	}

	/** Whether some version that may still count says that it halted. */
	#everHalted(known: Known): boolean {
		const { confirmed } = known;
		return known.history.some(
			({ version, flags }) => flags.halted !== null && (!confirmed || compareVersions(version, confirmed) >= 0),
		);
	}

	// -------------------------------------------------------------------------------------------------------------
	// Grants and steps

	#granted(node: SimNode, rollout: string, target: string, attempt: number): void {
		this.grants += 1;
		const known = this.rollouts.get(rollout);
		const seen = this.#witnessed.get(node.name);
		const flags = node.core?.durable.open.find((one) => one.spec.id === rollout)?.flags;
		if (!known || !seen || !flags) {
			this.#fail('I10', `${node.name} grants in ${rollout}, which nobody stored`);
			return;
		}
		if (known.spec.service !== 'clustering_config') this.#checkBudget(node, seen, known, target);
		if (known.spec.service !== 'clustering_config') this.#checkBackReady(node, seen, known);
		this.#checkFailures(node, seen, known, flags.attempt);
		if (known.spec.type === 'restart' && target === node.name)
			this.#fail('hand-over', `${node.name} restarts itself while it holds the lease`);
		this.#checkOrder(node, seen, known, target, flags.attempt);
		this.#checkStored(rollout, flags.version);
		this.#confirm(known, flags.version);
		seen.grants.set(target, { rollout, attempt, version: flags.version, at: node.eventNow });
	}

	#isHeard(node: SimNode, seen: Witnessed, name: string): boolean {
		if (name === node.name) return true;
		const heard = seen.reports.get(name);
		// By the links that it was told of: what came in during a sync is not known to it yet.
		return (
			heard !== undefined && node.core?.links[name] !== undefined && node.eventNow - heard.at <= this.leaseMs / 3 + 0.01
		);
	}

	#isDown(node: SimNode, seen: Witnessed, name: string): boolean {
		const readiness = name === node.name ? node.core?.readiness : seen.reports.get(name)?.report.readiness;
		if (!readiness) return true;
		return (
			readiness.availability === 'Unavailable' ||
			readiness.draining ||
			readiness.apps.some((app) => app.healthy < app.wanted)
		);
	}

	/** I2: who is down, not heard, or out, with the target. */
	#checkBudget(node: SimNode, seen: Witnessed, known: Known, target: string): void {
		const used: string[] = [];
		const outs: string[] = [];
		for (const { name } of known.spec.members) {
			if (known.skipped.has(name)) continue;
			const own = name === node.name;
			const restarting = own ? isOutOnDisk(node) : (seen.reports.get(name)?.report.out.length ?? 0) > 0;
			const isOut = seen.grants.has(name) || restarting || this.out.has(name);
			if (isOut) outs.push(name);
			if (isOut || !this.#isHeard(node, seen, name) || this.#isDown(node, seen, name)) used.push(name);
		}
		const { maxUnavailable, id } = known.spec;
		if (!this.#isHeard(node, seen, target))
			this.#fail('I2', `${node.name} grants ${target}, which it does not hear, in ${id}`);
		if (used.includes(target)) {
			if (new Set([...outs, target]).size > maxUnavailable)
				this.#fail('I2', `${node.name} grants ${target} in ${id} while ${outs.join(', ')} are out`);
		} else if (used.length + 1 > maxUnavailable)
			this.#fail('I2', `${node.name} grants ${target} in ${id} although ${used.join(', ')} use the budget up`);
	}

	/** I6 */
	#checkBackReady(node: SimNode, seen: Witnessed, known: Known): void {
		for (const { name } of known.spec.members) {
			if (known.skipped.has(name)) continue;
			const records = name === node.name ? node.disk.durable.records : seen.reports.get(name)?.report.records;
			if (records?.find((one) => one.rollout === known.spec.id)?.state !== 'back') continue;
			if (this.#isDown(node, seen, name) || !this.#isHeard(node, seen, name))
				this.#fail('I6', `${node.name} goes on in ${known.spec.id} although ${name} is back and not ready`);
		}
	}

	/** I7 */
	#checkFailures(node: SimNode, seen: Witnessed, known: Known, attempt: number): void {
		if (known.spec.onFailure === 'continue') return;
		for (const { name } of known.spec.members) {
			if (known.skipped.has(name)) continue;
			const records = name === node.name ? node.disk.durable.records : seen.reports.get(name)?.report.records;
			const record = records?.find((one) => one.rollout === known.spec.id);
			if (record && (record.state === 'failed' || record.state === 'refused') && record.attempt >= attempt)
				this.#fail('I7', `${node.name} goes on in ${known.spec.id} although ${name} ${record.state}`);
		}
		for (const [name, grant] of seen.grants) {
			if (grant.rollout !== known.spec.id || known.skipped.has(name) || grant.attempt < attempt) continue;
			if (node.eventNow - grant.at > known.spec.deadlineMs + 1)
				this.#fail('I7', `${node.name} goes on in ${known.spec.id} although ${name} is over its deadline`);
		}
	}

	/** The coordinator goes last, unless it is counted as down itself. */
	#checkOrder(node: SimNode, seen: Witnessed, known: Known, target: string, attempt: number): void {
		if (target !== node.name || this.#isDown(node, seen, target) || this.out.has(target)) return;
		if (isOutOnDisk(node)) return;
		for (const { name } of known.spec.members) {
			if (name === target || known.skipped.has(name)) continue;
			const records = seen.reports.get(name)?.report.records ?? this.nodes.get(name)?.disk.durable.records;
			const record = records?.find((one) => one.rollout === known.spec.id);
			const settled = record && record.state !== 'restarting' && (record.state === 'back' || record.attempt >= attempt);
			const overdue = seen.grants.has(name) || record?.state === 'restarting';
			if (!settled && !overdue) this.#fail('order', `coordinator ${target} goes before ${name} in ${known.spec.id}`);
		}
	}

	/** What a successor has to find: the rollout is on the disks of a majority before any of its steps. */
	#checkStored(rollout: string, version: FlagsVersion): void {
		const known = this.rollouts.get(rollout);
		const members = known?.spec.members ?? [];
		const holders = members.filter(({ name }) => this.#holds(name, rollout, version));
		if (holders.length * 2 <= members.length)
			this.#fail('I10', `a step of ${rollout} is granted while ${holders.length} of ${members.length} have stored it`);
	}

	#confirm(known: Known, version: FlagsVersion): void {
		if (!known.confirmed || compareVersions(version, known.confirmed) > 0) known.confirmed = version;
	}

	#holds(name: string, rollout: string, version: FlagsVersion): boolean {
		const durable = this.nodes.get(name)?.disk.durable;
		if (this.#forgetful.has(name)) return true;
		if (durable?.ended.some((one) => one.rollout === rollout)) return true;
		const open = durable?.open.find((one) => one.spec.id === rollout);
		return open !== undefined && compareVersions(open.flags.version, version) >= 0;
	}

	#stepBegins(node: SimNode, spec: RolloutSpec, attempt: number): void {
		const key = `${node.name} ${spec.id}`;
		const times = `${key} ${attempt}`;
		if (this.#begun.has(times)) this.#fail('I3', `${node.name} begins attempt ${attempt} of ${spec.id} twice`);
		if (this.#back.has(key)) this.#fail('I3', `${node.name} begins again in ${spec.id} after it was back`);
		this.#begun.add(times);
		const record = node.core?.durable.records.find((one) => one.rollout === spec.id);
		const onDisk = node.disk.durable.records.find((one) => one.rollout === spec.id);
		if (onDisk?.state !== 'restarting' || onDisk.attempt !== attempt)
			this.#fail('I3', `${node.name} begins in ${spec.id} without restarting on disk`);
		if (record?.epoch && compareEpochs(record.epoch, node.disk.durable.promised) < 0)
			this.#fail('I4', `${node.name} obeys ${text(record.epoch)} below its promise`);
		const known = this.rollouts.get(spec.id);
		if (!known || spec.service === 'clustering_config') return;
		known.begun = true;
		const running = [...this.rollouts.values()].filter(
			(one) => one.spec.id !== spec.id && one.accepted && !one.ended && !this.#isHalted(one.spec.id),
		);
		for (const other of running)
			this.#fail('conflict', `${spec.id} runs beside ${other.spec.id}, which has neither ended nor halted`);
		this.out.set(node.name, { rollout: spec.id, attempt });
		const outs = [...this.out.keys()].filter((name) => !known.skipped.has(name));
		if (outs.length > spec.maxUnavailable)
			this.#fail('I1', `${outs.join(', ')} are out at once; max_unavailable of ${spec.id} is ${spec.maxUnavailable}`);
	}

	#isHalted(rollout: string): boolean {
		for (const node of this.nodes.values()) {
			const open = node.disk.durable.open.find((one) => one.spec.id === rollout);
			if (open?.flags.halted != null) return true;
		}
		return false;
	}

	// -------------------------------------------------------------------------------------------------------------
	// Answers and leases

	#answered(node: SimNode, token: string, view: RolloutView | null): void {
		this.answers.set(token, { ok: true, view, message: '' });
		if (!view?.replicated) return;
		const known = this.rollouts.get(view.id);
		if (known && token.startsWith('ask')) known.accepted = true;
		this.#wordDone(node, view);
	}

	/** An operator's word and an answered request are on the disks of a majority. */
	#wordDone(node: SimNode, view: RolloutView | null): void {
		const known = view && this.rollouts.get(view.id);
		const version = node.core?.durable.open.find((one) => one.spec.id === view?.id)?.flags.version;
		if (!known || !version || known.spec.members.length < 2) return;
		if (node.core?.lease?.kind !== 'held' || node.core.lease.rollout !== known.spec.id) return;
		const holders = known.spec.members.filter(({ name }) => this.#holds(name, known.spec.id, version));
		this.#confirm(known, version);
		if (holders.length * 2 <= known.spec.members.length)
			this.#fail('answer', `an operator's word on ${known.spec.id} is answered before a majority has stored it`);
	}

	stepped(node: SimNode, event: CoreEvent): void {
		if (event.kind !== 'message') return;
		const { message, from } = event;
		if (message.kind === 'greeting') this.#unmet.get(node.name)?.delete(from);
		if (message.kind === 'promise') this.#leaseTaken(node);
		if (message.kind === 'report' || message.kind === 'promise') this.#reportTaken(node, from, message);
	}

	/** I10: whoever holds the lease knows every rollout that has not ended, as a majority last stored it. */
	#leaseTaken(node: SimNode): void {
		const { core } = node;
		if (core?.lease?.kind !== 'held') return;
		const { epoch } = core.lease;
		for (const [id, known] of this.rollouts) {
			if (!known.begun || known.ended || !known.spec.members.some((one) => one.name === node.name)) continue;
			const open = core.durable.open.find((one) => one.spec.id === id);
			if (!open && !core.durable.ended.some((one) => one.rollout === id))
				this.#fail('I10', `${node.name} holds the lease and does not know ${id}`);
			const { confirmed } = known;
			// One that was deposed without knowing it yet cannot know what was said since.
			if (confirmed?.epoch && compareEpochs(confirmed.epoch, epoch) > 0) continue;
			if (!open || !confirmed || compareVersions(open.flags.version, { epoch, n: 0 }) !== 0) continue;
			const could = known.history.filter((one) => compareVersions(one.version, confirmed) >= 0);
			if (!could.some((one) => saysTheSame(one.flags, open.flags)))
				this.#fail('I10', `${node.name} holds the lease and does not know what was last said about ${id}`);
		}
	}

	/** I9: what the coordinator counts is of its own epoch and newer than what it counted before. */
	#reportTaken(node: SimNode, from: string, message: Extract<PeerMessage, { kind: 'report' | 'promise' }>): void {
		const lease = node.core?.lease;
		if (lease?.kind !== 'held' || lease.hears[from]?.report !== message.report) return;
		const key = `${node.name} ${from} ${text(lease.epoch)}`;
		if (compareEpochs(message.epoch, lease.epoch) !== 0)
			this.#fail('I9', `${node.name} counts a report of ${from} of ${text(message.epoch)} under ${text(lease.epoch)}`);
		const before = this.#counted.get(key);
		const { boot, sequence } = message.report;
		const older = before && !isNewer(before, { boot, sequence });
		if (older && before.report !== message.report) this.#fail('I9', `${node.name} counts an old report of ${from}`);
		this.#counted.set(key, { boot, sequence, report: message.report });
	}

	/** It lost its state, or is new: it may not vote before it has met all others, or was admitted. */
	mustMeet(name: string, others: readonly string[]): void {
		this.#unmet.set(name, new Set(others));
	}

	admitted(name: string): void {
		this.#unmet.delete(name);
	}

	/** A daemon that ended itself for type restart, and how often it did in one attempt. */
	exited(node: SimNode, rollout: string): void {
		const key = `${node.name} ${rollout}`;
		this.#restarts.set(key, (this.#restarts.get(key) ?? 0) + 1);
	}
}

const isNewer = (a: { boot: number; sequence: number }, b: { boot: number; sequence: number }): boolean =>
	b.boot > a.boot || (b.boot === a.boot && b.sequence > a.sequence);

/** Its last step has not brought it back. */
function isOutOnDisk(node: SimNode): boolean {
	const { records } = node.disk.durable;
	const last = records.reduce<NodeRecord | null>((a, b) => (a && a.begun > b.begun ? a : b), null);
	return records.some((one) => one.state === 'restarting') || last?.state === 'failed';
}

/** All but the version, which a new holder of the lease writes anew. */
function saysTheSame(a: RolloutFlags, b: RolloutFlags): boolean {
	const said = ({ attempt, skipped, paused, aborting, halted }: RolloutFlags): string =>
		JSON.stringify([attempt, skipped, paused, aborting, halted]);
	return said(a) === said(b);
}

const text = (epoch: Epoch): string => `${epoch.counter}@${epoch.node}`;
