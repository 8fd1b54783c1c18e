/** What the faults of a plan do to nodes and links. */
import type { FakeNetwork } from '../support/rollout/fake-network.js';
import type { SimNode } from '../support/rollout/sim-node.js';
import type { VirtualTime } from '../support/rollout/virtual-time.js';
import type { Oracle } from './oracle.js';
import type { Action } from './plan.js';

export interface Stage {
	readonly time: VirtualTime;
	readonly network: FakeNetwork;
	readonly nodes: ReadonlyMap<string, SimNode>;
	readonly oracle: Oracle;
}

export function strikeLinks(
	stage: Stage,
	action: Extract<Action, { kind: 'cut' | 'isolate' | 'deafen' | 'reset' }>,
): void {
	switch (action.kind) {
		case 'reset':
			stage.network.reset(action.from, action.to);
			return;
		case 'cut': {
			const ways: [string, string][] = [[action.from, action.to]];
			if (action.both) ways.push([action.to, action.from]);
			cutFor(stage, ways, action.ms);
			return;
		}
		case 'deafen':
			cutFor(
				stage,
				namesBut(stage, action.node).map((name) => [name, action.node]),
				action.ms,
			);
			return;
		case 'isolate': {
			const others = namesBut(stage, action.node);
			const ways = others.flatMap((name): [string, string][] => [
				[name, action.node],
				[action.node, name],
			]);
			cutFor(stage, ways, action.ms);
			return;
		}
	}
}

function namesBut(stage: Stage, node: string): string[] {
	return [...stage.nodes.keys()].filter((name) => name !== node);
}

function cutFor(stage: Stage, ways: readonly [string, string][], ms: number): void {
	for (const [from, to] of ways) stage.network.cut(from, to);
	stage.time.after(ms, () => {
		for (const [from, to] of ways) stage.network.heal(from, to);
	});
}

export function strike(
	stage: Stage,
	node: SimNode,
	action: Exclude<Action, { kind: 'ask' | 'cut' | 'isolate' | 'deafen' | 'reset' | 'file' | 'deploy' | 'undo' }>,
): void {
	switch (action.kind) {
		case 'kill':
			kill(stage, node, action.backAfter, action.cold);
			return;
		case 'freeze':
			node.pause();
			stage.time.after(action.ms, () => node.unpause());
			return;
		case 'disk-full':
			node.disk.full = true;
			stage.time.after(action.ms, () => {
				node.disk.full = false;
			});
			return;
		case 'lose-state':
			node.kill();
			node.disk.lose();
			node.executor.kept.lose();
			stage.oracle.forget(node, true);
			stage.oracle.mustMeet(node.name, otherMembers(node));
			stage.time.after(500, () => node.start());
			return;
		case 'back-up':
			node.disk.backUp();
			node.executor.kept.backUp();
			return;
		case 'put-back':
			putBack(stage, node);
			return;
		case 'unhealthy':
			node.executor.setHealth(false);
			if (action.ms !== null) stage.time.after(action.ms, () => node.executor.setHealth(true));
			return;
		case 'flap':
			for (let i = 0; i < 2 * action.times; i += 1)
				stage.time.after(i * action.ms, () => node.executor.setHealth(i % 2 === 1));
			return;
		case 'availability':
			node.availability = 'Unavailable';
			node.readinessChanged();
			stage.time.after(action.ms, () => {
				node.availability = null;
				node.readinessChanged();
			});
			return;
		case 'fate':
			node.executor.fates = [...action.fates];
			node.executor.stepMs = action.stepMs;
			return;
		case 'discard':
			if (!node.executor.kept.isInUse(action.revision)) node.executor.kept.gone.add(action.revision);
			return;
		case 'clock-jump':
			node.wallOffset += action.ms;
			return;
		default:
			return;
	}
}

/** `cold`: the workers are lost, too, as with a whole host; the next start brings new ones. */
function kill(stage: Stage, node: SimNode, backAfter: number | null, cold: boolean): void {
	node.kill();
	if (cold) node.executor.hostDied();
	if (backAfter === null) node.neverBack = true;
	else stage.time.after(backAfter, () => node.start());
}

function putBack(stage: Stage, node: SimNode): void {
	const wasOut = stage.oracle.evidence.out.has(node.name);
	node.kill();
	if (node.disk.putBack()) {
		node.executor.kept.restore();
		stage.oracle.forget(node, false);
		// Any other looks like a start, and an operator answers for it.
		if (!isNoticed(stage, node)) stage.oracle.putBack(node.name);
	}
	if (wasOut) stage.oracle.evidence.out.delete(node.name);
	stage.time.after(500, () => node.start());
}

/** All peers know a later start of it than the copy does. */
function isNoticed({ nodes }: Stage, { name, disk }: SimNode): boolean {
	const { boot, instance } = disk.durable;
	const others = [...nodes.values()].filter((one) => one.name !== name);
	return others.every((other) => {
		const knew = other.disk.durable.peers[name];
		return knew !== undefined && (knew.instance !== instance || knew.boot > boot);
	});
}

/** The members of a node's own file, without itself. */
export function otherMembers(node: SimNode): string[] {
	return node.applied.members.map((member) => member.name).filter((name) => name !== node.name);
}
