import { coordinatorOf, getRollout, type Instant, listRollouts, step } from './core.js';
import { type CoreState, createCore } from './state.js';
import { CoreTurn } from './turn.js';
import { Quorum } from '../../coordination/quorum/engine.js';
import { estimateOf } from '../../rollout/requests/estimate.js';
import { isUndo, nothingLeft, undoNow } from '../../rollout/requests/undo.js';
import { type CoreRequest, type CoreSettings, endedMax, type NodeApps } from '../../rollout/messages.js';
import type { HookName, NodeName, RolloutPlan, RolloutView } from '../../rollout/types.js';
import { sameScope } from '../../rollout/targets/scope.js';
import type { Clock } from '../clock.js';
import type { FleetConfig, Membership } from '../links/membership.js';
import type { Core } from '../ports.js';
import { type Hello, protocolVersions } from '../links/handshake.js';

/** A fresh core for the configuration in force, as the shell holds it. */
export function freshCore(config: FleetConfig, membership: Membership, clock: Clock): Core {
	const settings = settingsOf(config, membership);
	const state = createCore(settings, new Quorum(settings));
	const instant = () => ({ now: clock.now(), wall: clock.wall() });
	return {
		step: (event) => step(state, event).effects,
		view: (id) => getRollout(state, id, instant()),
		views: (limit) => listRollouts(state, limit, instant()),
		plan: (request, apps) => planOf(state, instant(), request, apps),
		coordinator: () => coordinatorOf(state),
	};
}

function settingsOf({ rollout }: FleetConfig, { self, members, memberHash, cluster }: Membership): CoreSettings {
	return {
		self,
		clustered: cluster !== null,
		members,
		memberHash,
		protocol: protocolVersions,
		leaseMs: rollout.lease,
		deadlineMs: rollout.deadline,
		waitBetweenMs: rollout.wait_between,
		maxUnavailable: rollout.max_unavailable,
		onFailure: rollout.on_failure,
		holdAfter: rollout.hold_after,
		...configuredHooks(rollout.hooks),
	};
}

/** What a start would do; an undo covers the nodes that are to go back. */
function planOf(
	state: CoreState,
	at: Instant,
	asked: CoreRequest,
	apps: Readonly<Record<NodeName, NodeApps>>,
): RolloutPlan {
	const undo = undoNow(new CoreTurn(state, at.now, at.wall), asked);
	const names = Object.keys(apps);
	const without = names.filter((node) => apps[node]?.lacksApp);
	const request = isUndo(undo) ? withoutNodes(undo.request, (node) => apps[node]?.runsAlready === true) : asked;
	const plan = estimateOf(state, request, mediansOf(request, listRollouts(state, endedMax, at)), without);
	if (undo === null) return plan;
	const { reverts = '' } = asked;
	if (isUndo(undo) && request.nodes?.length !== 0) return { ...plan, reverts };
	const message = isUndo(undo) ? nothingLeft(undo.request.nodes ?? []) : undo.message;
	const refused = plan.refused ?? message;
	return { ...plan, reverts, order: [], steps: [], estimate_ms: 0, refused, refused_as: plan.refused_as ?? 'invalid' };
}

const withoutNodes = (request: CoreRequest, isLeftOut: (node: NodeName) => boolean): CoreRequest => ({
	...request,
	nodes: request.nodes?.filter((node) => !isLeftOut(node)),
});

const hookNames: readonly HookName[] = ['before_rollout', 'after_rollout', 'before_node', 'after_node'];

function configuredHooks(hooks: FleetConfig['rollout']['hooks']): Pick<CoreSettings, 'hooks'> {
	const configured = hookNames.filter((name) => hooks?.[name] !== undefined);
	return configured.length > 0 ? { hooks: configured } : {};
}

/** ms that each node's step took, in the middle of the earlier rollouts of the same kind. */
function mediansOf(request: CoreRequest, views: readonly RolloutView[]): Record<NodeName, number> {
	const durations = new Map<NodeName, number[]>();
	for (const view of views) {
		if (view.type !== request.type || view.service !== request.service || !sameScope(view, request)) continue;
		for (const { node, state, started_at: started, back_at: back } of view.nodes) {
			if (state !== 'back' || started === null || back === null) continue;
			durations.set(node, [...(durations.get(node) ?? []), back - started]);
		}
	}
	return Object.fromEntries(
		[...durations].map(([node, all]) => [node, all.sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0]),
	);
}

/** What the core hears of a peer's hello. */
export function coreHello({ node, boot, instance, process, protocol, memberHash }: Hello) {
	return { node, boot, instance, process, protocol, memberHash };
}
