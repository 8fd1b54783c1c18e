/** Judges what a coordinator grants and what a node begins: I1 to I4, I6, I7, the order, and that it was stored first. */
import { isLeaving } from '../../src/coordination/port.js';
import { compareEpochs, compareVersions } from '../../src/coordination/epoch.js';
import type { Version, RolloutFlags } from '../../src/rollout/messages.js';
import type { RolloutSpec } from '../../src/rollout/types.js';
import type { SimNode } from '../support/rollout/sim-node.js';
import { type Evidence, isOutOnDisk, type Known, textOf, type Witnessed } from './evidence.js';
import { judgePrepared } from './judge-hooks.js';
import { judgeHoldBegun, judgeHoldGrant, judgeSelected } from './judge-looking.js';
import { hasLeft, lackingMajority } from './majority.js';

export function judgeGrant(evidence: Evidence, node: SimNode, rollout: string, target: string, attempt: number): void {
	const known = evidence.rollouts.get(rollout);
	const seen = evidence.witnessed.get(node.name);
	const flags = node.core?.durable.open.find((one) => one.spec.id === rollout)?.flags;
	if (!known || !seen || !flags) {
		evidence.fail('I10', `${node.name} grants in ${rollout}, which nobody stored`);
		return;
	}
	if (known.spec.service !== 'clustering_config') checkBudget(evidence, node, seen, known, flags, target);
	if (known.spec.service !== 'clustering_config') checkBackReady(evidence, node, seen, known, flags);
	checkFailures(evidence, node, seen, known, flags);
	checkWords(evidence, node, seen, known, flags, target);
	judgePrepared(evidence, known.spec, flags);
	judgeHoldGrant(evidence, node, seen, known, flags, target);
	if (known.spec.type === 'restart' && target === node.name)
		evidence.fail('hand-over', `${node.name} restarts itself while it holds the lease`);
	checkOrder(evidence, node, seen, known, flags, target);
	if (known.spec.service !== 'clustering_config') checkUnhealthyFirst(evidence, node, seen, known, flags, target);
	checkStored(evidence, known, flags.version);
	evidence.confirm(known, flags.version);
	seen.grants.set(target, { rollout, attempt, version: flags.version, at: node.eventNow });
}

/** I2: who is down, not heard, or out, with the target. */
function checkBudget(
	evidence: Evidence,
	node: SimNode,
	seen: Witnessed,
	known: Known,
	{ skipped }: RolloutFlags,
	target: string,
): void {
	const used: string[] = [];
	const outs: string[] = [];
	for (const { name } of known.spec.members) {
		if (skipped.includes(name)) continue;
		const own = name === node.name;
		const restarting = own ? isOutOnDisk(node) : (seen.reports.get(name)?.report.out.length ?? 0) > 0;
		const isOut = seen.grants.has(name) || restarting || evidence.out.has(name);
		if (isOut) outs.push(name);
		if (isOut || !evidence.isHeard(node, seen, name) || evidence.isDown(node, seen, name)) used.push(name);
	}
	const { maxUnavailable, id } = known.spec;
	if (!evidence.isHeard(node, seen, target))
		evidence.fail('I2', `${node.name} grants ${target}, which it does not hear, in ${id}`);
	if (used.includes(target)) {
		if (new Set([...outs, target]).size > maxUnavailable)
			evidence.fail('I2', `${node.name} grants ${target} in ${id} while ${outs.join(', ')} are out`);
	} else if (used.length + 1 > maxUnavailable)
		evidence.fail('I2', `${node.name} grants ${target} in ${id} although ${used.join(', ')} use the budget up`);
}

/** I6 */
function checkBackReady(
	evidence: Evidence,
	node: SimNode,
	seen: Witnessed,
	known: Known,
	{ skipped }: RolloutFlags,
): void {
	for (const { name } of known.spec.members) {
		if (skipped.includes(name)) continue;
		const records = name === node.name ? node.disk.durable.records : seen.reports.get(name)?.report.records;
		if (records?.find((one) => one.rollout === known.spec.id)?.state !== 'back') continue;
		if (evidence.isDown(node, seen, name) || !evidence.isHeard(node, seen, name))
			evidence.fail('I6', `${node.name} goes on in ${known.spec.id} although ${name} is back and not ready`);
	}
}

/** A leaver that was away when the change began, so its file was not looked at: nothing depends on how it goes there. */
export const isPassedOver = (spec: RolloutSpec, name: string): boolean =>
	isLeaving({ spec }, name) && spec.configHashes?.[name] === undefined;

/** I7 */
function checkFailures(
	evidence: Evidence,
	node: SimNode,
	seen: Witnessed,
	known: Known,
	{ skipped, attempt }: RolloutFlags,
): void {
	if (known.spec.onFailure === 'continue') return;
	const waitedFor = known.spec.members.filter(({ name }) => !skipped.includes(name) && !isPassedOver(known.spec, name));
	for (const { name } of waitedFor) {
		const records = name === node.name ? node.disk.durable.records : seen.reports.get(name)?.report.records;
		const record = records?.find((one) => one.rollout === known.spec.id);
		if (record && (record.state === 'failed' || record.state === 'refused') && record.attempt >= attempt)
			evidence.fail('I7', `${node.name} goes on in ${known.spec.id} although ${name} ${record.state}`);
	}
	for (const [name, grant] of seen.grants) {
		if (grant.rollout !== known.spec.id || skipped.includes(name) || grant.attempt < attempt) continue;
		// Nothing depends on how far a node that leaves came before it was lost.
		const leaves = known.spec.membersNext?.every((member) => member.name !== name) ?? false;
		if (leaves && !evidence.isHeard(node, seen, name)) continue;
		if (node.eventNow - grant.at > known.spec.deadlineMs + 1)
			evidence.fail('I7', `${node.name} goes on in ${known.spec.id} although ${name} is over its deadline`);
	}
}

/** What operators said holds: paused, halted and aborted rollouts begin no step, nor do nodes that were skipped; wait_between passes. */
function checkWords(
	evidence: Evidence,
	node: SimNode,
	seen: Witnessed,
	{ spec }: Known,
	{ paused, halted, aborting, skipped }: RolloutFlags,
	target: string,
): void {
	const said = paused ? 'is paused' : halted !== null ? 'has halted' : aborting ? 'is being aborted' : null;
	if (said !== null) evidence.fail('word', `${node.name} grants ${target} in ${spec.id}, which ${said}`);
	if (skipped.includes(target))
		evidence.fail('word', `${node.name} grants ${target}, which was skipped, in ${spec.id}`);
	const { lastBack } = seen;
	const waited = lastBack?.rollout === spec.id ? node.eventNow - lastBack.at : Number.POSITIVE_INFINITY;
	if (waited < spec.waitBetweenMs - 0.01)
		evidence.fail('wait', `${node.name} grants ${target} in ${spec.id} after ${waited} of ${spec.waitBetweenMs} ms`);
}

/** The coordinator goes last, unless it is counted as down itself. */
function checkOrder(
	evidence: Evidence,
	node: SimNode,
	seen: Witnessed,
	known: Known,
	{ skipped, attempt }: RolloutFlags,
	target: string,
): void {
	if (target !== node.name || evidence.isDown(node, seen, target) || evidence.out.has(target)) return;
	if (isOutOnDisk(node)) return;
	for (const { name } of known.spec.members) {
		if (name === target || skipped.includes(name) || isNoTarget(evidence, node, seen, known.spec, name)) continue;
		const records = seen.reports.get(name)?.report.records ?? evidence.nodes.get(name)?.disk.durable.records;
		const record = records?.find((one) => one.rollout === known.spec.id);
		const settled = record && record.state !== 'restarting' && (record.state === 'back' || record.attempt >= attempt);
		const overdue = seen.grants.has(name) || record?.state === 'restarting';
		if (!settled && !overdue) evidence.fail('order', `coordinator ${target} goes before ${name} in ${known.spec.id}`);
	}
}

/** Its turn is not waited for: it was not selected, an operator ended the rollout there, its record is lost, or it leaves. */
function isNoTarget(evidence: Evidence, node: SimNode, seen: Witnessed, spec: RolloutSpec, name: string): boolean {
	// What a lost record said, nobody knows.
	if (spec.unselected?.includes(name) || evidence.lost.has(`${name} ${spec.id}`)) return true;
	if (evidence.endedHere.has(`${name} ${spec.id}`) || hasLeft(evidence.nodes, name, spec.id)) return true;
	// A leaver that is away may be dead.
	return isLeaving({ spec }, name) && !evidence.isHeard(node, seen, name);
}

/** Whoever is down already is mended before a healthy one is taken out; the coordinator's own restart is handed over first. */
function checkUnhealthyFirst(
	evidence: Evidence,
	node: SimNode,
	seen: Witnessed,
	known: Known,
	{ skipped, version }: RolloutFlags,
	target: string,
): void {
	if (evidence.isDown(node, seen, target) || isOutOf(evidence, node, seen, target)) return;
	for (const { name } of known.spec.members) {
		if (name === target || name === node.name || skipped.includes(name) || seen.grants.has(name)) continue;
		if (known.spec.unselected?.includes(name)) continue;
		// Its record is gone, its turn is not.
		if (evidence.lost.has(`${name} ${known.spec.id}`)) continue;
		if (evidence.endedHere.has(`${name} ${known.spec.id}`)) continue;
		if (!evidence.isHeard(node, seen, name) || !evidence.isDown(node, seen, name)) continue;
		const report = seen.reports.get(name)?.report;
		const isPending = report?.records.every((one) => one.rollout !== known.spec.id);
		const stored = report?.have.find((one) => one.rollout === known.spec.id)?.version;
		const isAble = stored !== undefined && compareVersions(stored, version) === 0 && report?.out.length === 0;
		if (isPending && isAble)
			evidence.fail('order', `${node.name} grants ${target} in ${known.spec.id} before ${name}, which is unhealthy`);
	}
}

function isOutOf(evidence: Evidence, node: SimNode, seen: Witnessed, name: string): boolean {
	const isOwn = name === node.name;
	return evidence.out.has(name) || (isOwn ? isOutOnDisk(node) : (seen.reports.get(name)?.report.out.length ?? 0) > 0);
}

/** What a successor has to find: the rollout is on the disks of a majority before any of its steps. */
function checkStored(evidence: Evidence, { spec }: Known, version: Version): void {
	const lacking = lackingMajority(evidence.nodes, spec, (name) => evidence.holds(name, spec.id, version));
	if (lacking !== null) evidence.fail('I10', `a step of ${spec.id} is granted while ${lacking} have stored it`);
}

export function judgeStepBegun(evidence: Evidence, node: SimNode, spec: RolloutSpec, attempt: number): void {
	const key = `${node.name} ${spec.id}`;
	const times = `${key} ${attempt}`;
	if (evidence.begun.has(times)) evidence.fail('I3', `${node.name} begins attempt ${attempt} of ${spec.id} twice`);
	if (evidence.back.has(key)) evidence.fail('I3', `${node.name} begins again in ${spec.id} after it was back`);
	const lost = evidence.lost.get(key) ?? null;
	if (lost !== null && attempt <= lost)
		evidence.fail('I3', `${node.name} begins attempt ${attempt} of ${spec.id} again after it lost its state`);
	if (evidence.endedHere.has(key))
		evidence.fail('ended-here', `${node.name} begins a step of ${spec.id}, which was ended on it`);
	evidence.begun.add(times);
	const record = node.core?.durable.records.find((one) => one.rollout === spec.id);
	const onDisk = node.disk.durable.records.find((one) => one.rollout === spec.id);
	if (onDisk?.state !== 'restarting' || onDisk.attempt !== attempt)
		evidence.fail('I3', `${node.name} begins in ${spec.id} without restarting on disk`);
	if (record?.epoch && compareEpochs(record.epoch, node.disk.durable.promised) < 0)
		evidence.fail('I4', `${node.name} obeys ${textOf(record.epoch)} below its promise`);
	// A leaver that was away at the check is not asked; nothing depends on its file.
	const isAsked = spec.configHashes?.[node.name] !== undefined || !isLeaving({ spec }, node.name);
	if (spec.service === 'clustering_config' && isAsked && node.fileFault !== null)
		evidence.fail('check', `${node.name} begins ${spec.id} although its file has a fault`);
	const known = evidence.rollouts.get(spec.id);
	if (!known || spec.service === 'clustering_config') return;
	known.begun = true;
	judgeSelected(evidence, node, spec.id);
	judgeHoldBegun(evidence, node, known);
	const running = [...evidence.rollouts.values()].filter(
		(one) => one.spec.id !== spec.id && one.accepted && !one.ended && !evidence.isHalted(one.spec.id),
	);
	for (const other of running)
		evidence.fail('conflict', `${spec.id} runs beside ${other.spec.id}, which has neither ended nor halted`);
	evidence.out.set(node.name, { rollout: spec.id, attempt });
	const outs = [...evidence.out.keys()].filter((name) => !known.skipped.has(name));
	if (outs.length > spec.maxUnavailable)
		evidence.fail('I1', `${outs.join(', ')} are out at once; max_unavailable of ${spec.id} is ${spec.maxUnavailable}`);
}
