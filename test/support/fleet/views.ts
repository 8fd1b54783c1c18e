import type { RolloutView } from '../../../src/rollout/types.js';

type NodeView = RolloutView['nodes'][number];

export const rolloutId = '6e0f1f0c-8f2e-4d56-9d7e-1c1f5a3b9f10';

export function nodeView(node: string, state: NodeView['state'], more: Partial<NodeView> = {}): NodeView {
	const begun = state !== 'pending' && state !== 'skipped';
	return {
		node,
		state,
		attempt: begun ? 1 : 0,
		before: begun ? { boot: 3, workers: [{ id: 'web-1', pid: 811, started: 51_234 }] } : null,
		after: state === 'back' ? { boot: 3, workers: [{ id: 'web-2', pid: 912, started: 61_234 }] } : null,
		started_at: begun ? 1_700_000_000_500 : null,
		back_at: state === 'back' ? 1_700_000_002_600 : null,
		reason: null,
		...more,
	};
}

export function rolloutView(more: Partial<RolloutView> = {}): RolloutView {
	return {
		id: rolloutId,
		type: 'restart_service',
		service: 'http_workers',
		app: null,
		replicated: true,
		user: 'admin',
		state: 'running',
		reason: null,
		waiting_for: null,
		coordinator: 'alpha',
		epoch: '4@alpha',
		max_unavailable: 1,
		order: ['beta', 'gamma', 'alpha'],
		nodes: [nodeView('alpha', 'pending'), nodeView('beta', 'pending'), nodeView('gamma', 'pending')],
		created_at: 1_700_000_000_000,
		ended_at: null,
		...more,
	};
}

export const completedView = (): RolloutView =>
	rolloutView({
		state: 'completed',
		nodes: [nodeView('alpha', 'back'), nodeView('beta', 'back'), nodeView('gamma', 'back')],
		ended_at: 1_700_000_007_000,
	});
