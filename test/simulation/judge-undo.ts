/** Judges undos: which nodes one covers, that nothing stands in its way when it opens, and that the fleet undoes a rollout once. */
import type { RolloutSpec, RolloutView } from '../../src/rollout/types.js';
import type { SimNode } from '../support/rollout/sim-node.js';
import type { Evidence } from './evidence.js';
import { runsOf } from './judge-releases.js';
import { tooFew } from './majority.js';

/** A target has said what is in the way of putting it back. */
export function noteFault(evidence: Evidence, node: string, rollout: string, fault: string | null): void {
	if (fault !== null) evidence.faults.set(`${node} ${rollout}`, fault);
}

/** Stored for the first time, by the node that leads. */
export function judgeUndoOpened(evidence: Evidence, leader: SimNode, spec: RolloutSpec): void {
	const { id, reverts, putBack = {}, unselected = [] } = spec;
	if (reverts === undefined) return;
	for (const name of Object.keys(putBack)) {
		if (unselected.includes(name)) continue;
		const fault = evidence.faults.get(`${name} ${id}`);
		if (fault !== undefined) evidence.fail('undo', `${id} opens although ${name} said: ${fault}`);
		judgeCovered(evidence, leader, name, spec);
	}
	if (spec.revertAs !== undefined) evidence.fail('undo', `${id}, an undo, is to be undone if it fails`);
	if (spec.from === 'revert') judgeOnce(evidence, spec, reverts);
}

/** It covers nodes that are back or failed, or may be: none that the rollout never reached, or that refused it whole. */
function judgeCovered(evidence: Evidence, leader: SimNode, name: string, { id, reverts = '' }: RolloutSpec): void {
	const node = evidence.nodes.get(name);
	if (!node) return;
	const { before, lost } = runsOf(evidence, node);
	if (lost) return;
	if (!before.has(reverts)) evidence.fail('undo', `${id} covers ${name}, where ${reverts} never began`);
	const { durable } = leader.disk;
	const shown = durable.ended.find((one) => one.rollout === reverts)?.view.nodes.find((one) => one.node === name);
	// What has ended is undone by how it was shown last.
	if (shown && shown.state !== 'refused') return;
	const told = evidence.witnessed.get(leader.name)?.reports.get(name)?.report.records;
	const record = (node === leader ? durable.records : told)?.find((one) => one.rollout === reverts);
	const after = record?.result?.after?.releases?.['web']?.revision;
	if (record?.state === 'refused' && after === before.get(reverts))
		evidence.fail('undo', `${id} covers ${name}, which refused ${reverts} and runs what it ran before`);
}

function judgeOnce(evidence: Evidence, { id }: RolloutSpec, reverts: string): void {
	const other = evidence.reverted.get(reverts);
	if (other !== undefined) evidence.fail('undo', `the fleet undoes ${reverts} by ${other} and by ${id}`);
	evidence.reverted.set(reverts, id);
	if (evidence.rollouts.get(reverts)?.spec.reverts !== undefined)
		evidence.fail('undo', `the fleet undoes ${reverts}, an undo, by ${id}`);
}

/** What is undone has ended: by then a majority knows what undoes it, or that would be lost with its coordinator. */
export function judgeUndoneEnded(evidence: Evidence, { id, reverted_by: by }: RolloutView): void {
	if (by == null) return;
	const knows = (name: string): boolean => {
		const durable = evidence.nodes.get(name)?.disk.durable;
		const isOpen = durable?.open.some((one) => one.spec.id === by);
		return isOpen || durable?.ended.some((one) => one.rollout === by) || evidence.forgetful.has(name);
	};
	const lacking = tooFew(evidence.rollouts.get(id)?.spec.members.map(({ name }) => name) ?? [], knows);
	if (lacking !== null) evidence.fail('undo', `${id} ends, undone by ${by}, while ${lacking} know that`);
}
