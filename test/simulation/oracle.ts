/**
 * The invariants, judged from outside: from what is on the disks, from what messages were delivered, and from what the
 * executors really did. Nothing here asks the core what it believes, save where the belief itself is the question.
 */
import { incoherence } from '../../src/fleet/links/message-invariants.js';
import { compareEpochs, compareVersions } from '../../src/coordination/epoch.js';
import type { CoreEffect, CoreEvent, DurableEntry, PeerMessage } from '../../src/fleet/core/events.js';
import type { RolloutFlags } from '../../src/rollout/messages.js';
import type { Epoch, NodeRecord, RolloutSpec, RolloutView } from '../../src/rollout/types.js';
import type { Truth } from '../support/rollout/fake-executor.js';
import type { SimNode, Watcher } from '../support/rollout/sim-node.js';
import { Evidence, type Known, textOf, type Violation, type Witnessed } from './evidence.js';
import { judgeGrant, judgeStepBegun } from './judge-grants.js';
import { judgeAnswer, judgeLease, judgeReport } from './judge-leases.js';
import { judgeBackAfterHook, judgeEndHook, judgeHook, judgeReplaced } from './judge-hooks.js';
import { judgeHoldOver } from './judge-looking.js';
import { isUntold, judgeEndedHere, noteMajority } from './judge-endings.js';
import {
	judgeReleaseEnded,
	judgeReleaseStep,
	judgeStarted,
	noteBegun,
	noteForgotten,
	noteProven,
	noteSeen,
} from './judge-releases.js';
import { judgeUndoneEnded, judgeUndoOpened, noteFault } from './judge-undo.js';
import { judgePromise, judgeQuorum, judgeVersion, judgeVoter } from './judge-quorums.js';
import { isShared } from '../../src/coordination/port.js';

export class Oracle implements Watcher {
	readonly evidence: Evidence;
	grants = 0;
	takeovers = 0;

	constructor(nodes: Map<string, SimNode>, leaseMs: number) {
		this.evidence = new Evidence(nodes, leaseMs);
	}

	get violation(): Violation | null {
		return this.evidence.violations[0] ?? null;
	}

	crashed(node: SimNode): void {
		this.evidence.witnessed.delete(node.name);
		this.evidence.heardMajority.delete(node.name);
	}

	threw(node: SimNode, error: Error): void {
		this.evidence.fail('throws', `the core of ${node.name}: ${error.stack ?? error.message}`);
	}

	/**
	 * A node that lost its state folder has forgotten what its record said; `told`: its peers tell it that it has.
	 * What it ended for itself is known on from a copy that has it.
	 */
	forget(node: SimNode, told: boolean): void {
		this.evidence.forgetful.add(node.name);
		noteForgotten(this.evidence, node);
		this.evidence.out.delete(node.name);
		const still = new Set(node.disk.durable.endedHere.map(({ rollout }) => `${node.name} ${rollout}`));
		for (const key of [...this.evidence.endedHere])
			if (key.startsWith(`${node.name} `) && !still.has(key)) this.evidence.endedHere.delete(key);
		for (const key of [...this.evidence.begun]) {
			if (!key.startsWith(`${node.name} `)) continue;
			this.evidence.begun.delete(key);
			const at = key.lastIndexOf(' ');
			const before = this.evidence.lost.get(key.slice(0, at)) ?? 0;
			this.evidence.lost.set(key.slice(0, at), told ? Math.max(before, Number(key.slice(at + 1))) : null);
		}
		for (const key of [...this.evidence.back])
			if (key.startsWith(`${node.name} `) && this.evidence.back.delete(key)) this.evidence.backBefore.add(key);
		for (const [id, known] of this.evidence.rollouts) {
			if (!this.evidence.isAnywhere(id)) known.ended = true;
			this.evidence.forgetWhatIsNowhere(id, known);
		}
	}

	/** The copy is so recent that nobody can tell; what it has forgotten is on whoever put it there. */
	putBack(name: string): void {
		this.evidence.vouched.add(name);
		this.evidence.unmet.delete(name);
		for (const known of this.evidence.rollouts.values()) known.confirmed = this.evidence.stillConfirmed(known);
	}

	started(node: SimNode, revision: string): void {
		judgeStarted(this.evidence, node, revision);
	}

	truth(node: SimNode, truth: Truth): void {
		judgeReleaseEnded(this.evidence, node, truth);
		this.evidence.truth.set(`${node.name} ${truth.rollout} ${truth.attempt}`, truth);
		const out = this.evidence.out.get(node.name);
		if (truth.back || truth.whole) this.evidence.out.delete(node.name);
		else if (out) this.evidence.out.set(node.name, { rollout: truth.rollout, attempt: truth.attempt });
	}

	effect(node: SimNode, effect: CoreEffect): void {
		switch (effect.kind) {
			case 'store':
				for (const entry of effect.entries) this.#entryStored(node, entry);
				return;
			case 'send':
				this.#sent(node, effect.to, effect.message);
				return;
			case 'run_step':
				if (effect.refused === undefined) {
					judgeReplaced(this.evidence, node, effect.spec);
					judgeReleaseStep(this.evidence, node, effect.spec);
				}
				if (!effect.recovered) this.#begun(node, effect.spec, effect.attempt);
				return;
			case 'run_hook': {
				judgeHook(this.evidence, node, effect);
				const open = node.core?.durable.open.find((one) => one.spec.id === effect.rollout);
				if (effect.hook === 'before_node' && open) this.#begun(node, open.spec, effect.attempt);
				return;
			}
			case 'note':
				this.#noted(node, effect);
				return;
			case 'answer':
				this.#answered(node, effect.token, effect.view);
				return;
			case 'refuse': {
				const { message } = effect.refusal;
				this.evidence.answers.set(effect.token, { ok: false, view: null, message });
				if (message.length === 0) this.evidence.fail('I11', 'a refusal without a text');
				return;
			}
			case 'take_snapshot':
				noteSeen(this.evidence, node);
				return;
			case 'booted':
				noteProven(this.evidence, node);
				return;
			case 'check':
			case 'set_timer':
			case 'clear_timer':
			case 'changed':
				return;
		}
	}

	/** With a hook before it, the step begins with that. */
	#begun(node: SimNode, spec: RolloutSpec, attempt: number): void {
		const times = `${node.name} ${spec.id} ${attempt}`;
		const begins = this.evidence.hooks.has(`${spec.id} before_node ${node.name} ${attempt}`);
		if (!begins || !this.evidence.begun.has(times)) judgeStepBegun(this.evidence, node, spec, attempt);
	}

	#entryStored(node: SimNode, entry: DurableEntry): void {
		if (entry.kind === 'record') this.#recordStored(node, entry.record);
		if (entry.kind === 'open') this.#openStored(node, entry.spec, entry.flags);
		if (entry.kind === 'flags') this.#flagsStored(node, entry.rollout, entry.flags);
		if (entry.kind === 'ended_here') this.#endedHere(node, entry.rollout);
		if (entry.kind === 'instance' && entry.voting) this.#mayVote(node);
		// What ended for one node is no end for the others.
		if (entry.kind === 'ending' && entry.ending.epoch)
			this.#endingStored(node, entry.ending.rollout, entry.ending.view);
	}

	/** Only once no majority was heard for long; a grant that has not begun by now never does. */
	#endedHere(node: SimNode, rollout: string): void {
		const key = `${node.name} ${rollout}`;
		if (this.evidence.endedHere.has(key)) return;
		judgeEndedHere(this.evidence, node, rollout);
		this.evidence.endedHere.add(key);
		const own = this.evidence.witnessed.get(node.name);
		const grant = own?.grants.get(node.name);
		const record = node.disk.durable.records.find((one) => one.rollout === rollout);
		if (grant?.rollout === rollout && (record?.attempt ?? 0) < grant.attempt) own?.grants.delete(node.name);
	}

	/** From here on it knows again what a majority counts it for. */
	#mayVote(node: SimNode): void {
		judgeVoter(this.evidence, node.name);
		if (!this.evidence.vouched.has(node.name)) this.evidence.forgetful.delete(node.name);
	}

	#noted(node: SimNode, { event, fields }: Extract<CoreEffect, { kind: 'note' }>): void {
		if (event === 'step_granted') {
			const { rollout, node: target, attempt } = fields;
			this.grants += 1;
			judgeGrant(this.evidence, node, String(rollout), String(target), Number(attempt));
		}
		if (event === 'node_admitted') {
			this.evidence.witnessed.get(node.name)?.reports.delete(String(fields.node));
			for (const key of this.evidence.counted.keys())
				if (key.startsWith(`${node.name} ${fields.node} `)) this.evidence.counted.delete(key);
		}
		if (event === 'takeover') this.takeovers += 1;
	}

	#openStored(node: SimNode, spec: RolloutSpec, flags: RolloutFlags): void {
		if (isShared(spec) && !this.evidence.rollouts.has(spec.id)) {
			const skipped = new Set<string>();
			const seen = { accepted: false, begun: false, ended: false, confirmed: null, opened: null };
			const fresh = { spec, skipped, history: [], ...seen };
			this.evidence.rollouts.set(spec.id, fresh);
			judgeUndoOpened(this.evidence, node, spec);
		}
		this.#flagsStored(node, spec.id, flags);
	}

	#flagsStored(node: SimNode, rollout: string, flags: RolloutFlags): void {
		const known = this.evidence.rollouts.get(rollout);
		if (!known) return;
		const key = `${node.name} ${rollout}`;
		const before = this.evidence.stored.get(key);
		if (!before || compareVersions(flags.version, before) > 0) this.evidence.stored.set(key, flags.version);
		for (const name of flags.skipped) known.skipped.add(name);
		judgeHoldOver(this.evidence, rollout, flags);
		this.#resumed(node, known, flags);
		this.#ownGrantVoid(node, rollout, flags);
		if (!known.history.some((one) => compareVersions(one.version, flags.version) === 0))
			known.history.push({ version: flags.version, flags });
	}

	/** No report tells the coordinator of itself: a grant that it has not begun is void by its own newer flags. */
	#ownGrantVoid(node: SimNode, rollout: string, { version }: RolloutFlags): void {
		const own = this.evidence.witnessed.get(node.name);
		const grant = own?.grants.get(node.name);
		if (grant?.rollout !== rollout || compareVersions(version, grant.version) <= 0) return;
		const record = node.disk.durable.records.find((one) => one.rollout === rollout);
		if (!record || record.attempt < grant.attempt) own?.grants.delete(node.name);
	}

	/** Whatever still runs when an operator resumes, or skips others, has its deadline anew. */
	#resumed(node: SimNode, known: Known, { version, paused, halted, skipped }: RolloutFlags): void {
		const last = { ...version, n: version.n - 1 };
		const before = known.history.find((one) => compareVersions(one.version, last) === 0)?.flags;
		if (!before || paused || halted !== null) return;
		if (!before.paused && before.halted === null && before.skipped.length === skipped.length) return;
		for (const grant of this.evidence.witnessed.get(node.name)?.grants.values() ?? []) grant.at = node.eventNow;
	}

	#recordStored(node: SimNode, record: NodeRecord): void {
		const key = `${node.name} ${record.rollout}`;
		const own = this.evidence.witnessed.get(node.name);
		if (record.state === 'restarting') noteBegun(this.evidence, node, record.rollout);
		if (own && record.state !== 'restarting' && own.grants.get(node.name)?.rollout === record.rollout) {
			own.grants.delete(node.name);
			if (record.state === 'back') own.lastBack = { rollout: record.rollout, at: node.eventNow };
		}
		if (record.state === 'back') {
			this.evidence.back.add(key);
			judgeBackAfterHook(this.evidence, node, record);
			const truth = this.evidence.truth.get(`${key} ${record.attempt}`);
			if (!truth?.back) this.evidence.fail('I5', `${node.name} stored back in ${record.rollout} and is not`);
		}
	}

	#endingStored(node: SimNode, rollout: string, view: RolloutView): void {
		const known = this.evidence.rollouts.get(rollout);
		// A node that left the fleet does not know how the rest goes on.
		if (!known || known.spec.membersNext?.every((member) => member.name !== node.name)) return;
		const isUndone = view.reverted_by != null;
		const superseded = view.state === 'aborted' && (isUndone || view.reason?.startsWith('superseded'));
		if (superseded && known.accepted && !known.ended && !this.evidence.everHalted(known))
			this.evidence.fail('conflict', `${rollout} was superseded while it was running`);
		if (superseded) this.#halfWay(known, view.reason ?? '');
		judgeEndHook(this.evidence, known.spec, view);
		const again = known.ended;
		if (!again) judgeUndoneEnded(this.evidence, view);
		known.ended = true;
		if (again) return;
		if (view.state !== 'completed') {
			if (view.state === 'aborted' && !view.reason) this.evidence.fail('I11', `${rollout} aborted without a reason`);
			return;
		}
		this.#completed(node, known, rollout);
	}

	#completed(node: SimNode, known: Known, rollout: string): void {
		for (const { name } of known.spec.members) {
			const record = this.evidence.nodes.get(name)?.disk.durable.records.find((one) => one.rollout === rollout);
			if (known.skipped.has(name) || this.evidence.forgetful.has(name)) continue;
			if (this.evidence.endedHere.has(`${name} ${rollout}`)) continue;
			// A node that leaves and is not heard any more is not waited for, whatever it has forgotten or not ended.
			const leaves = known.spec.membersNext?.every((member) => member.name !== name);
			if (leaves && (record?.state === 'lost' || record?.state === 'restarting')) continue;
			if (leaves && isUntold(this.evidence, node, known.spec, name)) continue;
			// Whoever ended it had seen that the node was back, and not yet that it has lost its state since.
			if (record?.state === 'lost' && this.evidence.backBefore.has(`${name} ${rollout}`)) continue;
			if (record && record.state !== 'back')
				this.evidence.fail('I7', `${rollout} completed although the record of ${name} is ${record.state}`);
		}
	}

	/** A change of members that some have applied is taken further by another change, by nothing else. */
	#halfWay({ spec }: Known, reason: string): void {
		const next = [...this.evidence.rollouts.values()].find((one) => reason.endsWith(` ${one.spec.id}`));
		if (spec.service === 'clustering_config' && next && next.spec.service !== 'clustering_config')
			this.evidence.fail('half-way', `${spec.id}, a change of members, was ${reason}`);
	}

	#sent(node: SimNode, to: string, message: PeerMessage): void {
		judgeVersion(this.evidence, node, to);
		const wrong = incoherence(node.name, message);
		if (wrong !== null) this.evidence.fail('wire', `${node.name} would be turned away by ${to}: ${wrong}`);
		switch (message.kind) {
			case 'promise':
			case 'report':
				if (message.kind === 'promise') judgePromise(this.evidence, node, message.epoch);
				if (compareEpochs(node.disk.durable.promised, message.epoch) < 0)
					this.evidence.fail(
						'I4',
						`${node.name} answered ${to} for ${textOf(message.epoch)} with a lower promise on disk`,
					);
				return;
			case 'heartbeat':
				this.#witness(node, message.epoch).sent.set(message.number, node.eventNow);
				return;
			case 'prepare':
				this.evidence.prepared.set(textOf(message.epoch), message.memberHashes);
				this.#witness(node, message.epoch).sent.set(0, node.eventNow);
				return;
			case 'answer':
				if (message.answer.ok) judgeAnswer(this.evidence, node, message.answer.view);
				return;
			default:
				return;
		}
	}

	#witness(node: SimNode, epoch: Epoch): Witnessed {
		const known = this.evidence.witnessed.get(node.name);
		if (known && compareEpochs(known.epoch, epoch) === 0) return known;
		const fresh: Witnessed = {
			epoch,
			sent: new Map(),
			reports: new Map(),
			grants: new Map(),
			lastBack: null,
		};
		this.evidence.witnessed.set(node.name, fresh);
		return fresh;
	}

	delivered(node: SimNode, from: string, message: PeerMessage): void {
		if (message.kind === 'checked') noteFault(this.evidence, from, message.rollout, message.result.fault);
		if (message.kind !== 'report' && message.kind !== 'promise') return;
		const seen = this.evidence.witnessed.get(node.name);
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
		if (done && record.state === 'back') seen.lastBack = { rollout: grant.rollout, at: node.eventNow };
		const never = !begun && report.endedHere?.some((one) => one.rollout === grant.rollout);
		if (done || refused || never || report.ended.includes(grant.rollout)) seen.grants.delete(from);
	}

	#answered(node: SimNode, token: string, view: RolloutView | null): void {
		this.evidence.answers.set(token, { ok: true, view, message: '' });
		if (!view?.replicated) return;
		const known = this.evidence.rollouts.get(view.id);
		if (known && token.startsWith('ask')) known.accepted = true;
		judgeAnswer(this.evidence, node, view);
	}

	stepped(node: SimNode, event: CoreEvent): void {
		noteMajority(this.evidence, node);
		if (event.kind === 'checked') noteFault(this.evidence, node.name, event.rollout, event.result.fault);
		if (event.kind !== 'message') return;
		const { message, from } = event;
		if (message.kind === 'greeting' && message.catchUp) this.evidence.unmet.get(node.name)?.delete(from);
		if (message.kind === 'promise' || message.kind === 'nack') {
			judgeQuorum(this.evidence, node);
			judgeLease(this.evidence, node);
		}
		if (message.kind === 'report' || message.kind === 'promise') judgeReport(this.evidence, node, from, message);
	}

	/** It lost its state, or is new: it may not vote before it has met all others, or was admitted. */
	mustMeet(name: string, others: readonly string[]): void {
		this.evidence.unmet.set(name, new Set(others));
	}

	admitted(name: string): void {
		if ((this.evidence.unmet.get(name)?.size ?? 0) > 0) this.evidence.vouched.add(name);
		this.evidence.unmet.delete(name);
	}
}
