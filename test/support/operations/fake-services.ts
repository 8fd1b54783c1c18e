import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { RollcallError } from '../../../src/errors.js';
import type { Fleet, FleetEvents, RolloutRequest } from '../../../src/fleet/types.js';
import { Statuses } from '../../../src/operations/statuses.js';
import type { NodeServices } from '../../../src/operations/types.js';
import type { SystemAttribute } from '../../../src/system/information/attributes.js';
import type { RolloutPlan, RolloutView } from '../../../src/rollout/types.js';
import type { Access } from '../../../src/server/access/access.js';
import type { AppReadiness } from '../../../src/workers/types.js';

/** A fleet of one node that starts rollouts and leaves them running until a test says otherwise. */
export class FakeFleet extends EventEmitter<FleetEvents> implements Fleet {
	readonly views = new Map<string, RolloutView>();
	readonly requests: RolloutRequest[] = [];
	readonly admitted: string[] = [];
	/** Thrown by the next start. */
	refusal: RollcallError | null = null;

	async startRollout(request: RolloutRequest): Promise<RolloutView> {
		if (this.refusal) throw this.refusal;
		this.requests.push(request);
		const view: RolloutView = {
			id: randomUUID(),
			type: request.type,
			service: request.service,
			app: request.app,
			replicated: request.replicated,
			user: request.user,
			state: 'running',
			reason: null,
			waiting_for: null,
			coordinator: 'alpha',
			epoch: request.replicated ? '1@alpha' : null,
			max_unavailable: 1,
			order: ['alpha'],
			nodes: [
				{
					node: 'alpha',
					state: 'restarting',
					attempt: 1,
					before: { boot: 1, workers: [] },
					after: null,
					started_at: 1_000,
					back_at: null,
					reason: null,
				},
			],
			created_at: 900,
			ended_at: null,
		};
		this.change(view);
		return view;
	}

	/** Stores a view and tells everyone who follows. */
	change(view: RolloutView): RolloutView {
		this.views.set(view.id, view);
		this.emit('rollout', view);
		return view;
	}

	async plan(): Promise<RolloutPlan> {
		return {
			order: ['alpha'],
			max_unavailable: 1,
			down: [],
			steps: [{ nodes: ['alpha'], estimate_ms: 1200 }],
			estimate_ms: 1200,
			refused: null,
		};
	}

	async pause(id: string): Promise<RolloutView> {
		return this.#word(id, 'paused');
	}

	async resume(id: string): Promise<RolloutView> {
		return this.#word(id, 'running');
	}

	async abort(id: string): Promise<RolloutView> {
		return this.#word(id, 'aborted');
	}

	async admit(node: string): Promise<void> {
		this.admitted.push(node);
	}

	get(id: string): RolloutView | undefined {
		return this.views.get(id);
	}

	list(limit: number): RolloutView[] {
		return [...this.views.values()].reverse().slice(0, limit);
	}

	complaint(): null {
		return null;
	}

	clusterStatus(): ReturnType<Fleet['clusterStatus']> {
		return { node: 'alpha', boot: 1, coordinator: null, nodes: [] };
	}

	ask(): [] {
		return [];
	}

	/** What the next who ask for logs are given. */
	lines: Fleet['logs'] = async function* () {};
	logs(...[query, asked]: Parameters<Fleet['logs']>): ReturnType<Fleet['logs']> {
		return this.lines(query, asked);
	}

	replication(): [] {
		return [];
	}

	stores(): [] {
		return [];
	}

	async close(): Promise<void> {}

	#word(id: string, state: RolloutView['state']): RolloutView {
		const view = this.views.get(id);
		if (!view) throw new RollcallError('not_found', `Rollout '${id}' not found`);
		return this.change({ ...view, state });
	}
}

/** Attributes with the keys that the contract's cases look for, and nothing real. */
const systemContent: Partial<Record<SystemAttribute, unknown>> = {
	memory: { total: 1, free: 1, used: 1, active: 1, available: 1, swaptotal: 0, swapused: 0, swapfree: 0 },
	time: { current: 1, uptime: 1, timezone: 'GMT+0000', timezoneName: 'UTC' },
};

export interface FakeServices {
	node: NodeServices;
	fleet: FakeFleet;
	apps: AppReadiness[];
}

export function fakeServices(
	access: Access,
	audit: Pick<NodeServices['audit'], 'list'> = { list: () => [] },
): FakeServices {
	const fleet = new FakeFleet();
	const apps: AppReadiness[] = [{ app: 'web', wanted: 2, healthy: 2, degraded: null }];
	const node: NodeServices = {
		fleet,
		workers: { rows: () => [], readiness: () => apps, threads: () => [] },
		statuses: new Statuses(),
		users: access.users,
		logins: access.logins,
		tokens: access.tokens,
		apiTokens: access.apiTokens,
		audit: { list: (limit) => audit.list(limit) },
		system: {
			information: async (attributes) =>
				Object.fromEntries(attributes.map((name) => [name, systemContent[name] ?? {}])),
		},
	};
	return { node, fleet, apps };
}
