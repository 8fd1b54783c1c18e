import type { Core } from './shell.js';
import type { FleetConfig, Membership } from './membership.js';

/** Stands in until the decision core is joined: counts the boot, refuses every rollout. */
export function startedCore(_config: FleetConfig, _membership: Membership): Core {
	return {
		step: (event) => {
			if (event.kind === 'started') {
				const boot = event.durable.boot + 1;
				const instance = event.durable.instance ?? event.process;
				return [
					{
						kind: 'store',
						entries: [
							{ kind: 'boot', boot },
							{ kind: 'instance', instance, voting: true },
						],
					},
					{ kind: 'booted', boot, instance },
				];
			}
			if (event.kind !== 'request' && event.kind !== 'operator') return [];
			const refusal = { code: 'unavailable' as const, message: 'Rollouts are not built in yet.', extra: {} };
			return [{ kind: 'refuse', token: event.token, refusal }];
		},
		view: () => undefined,
		views: () => [],
		plan: () => ({ order: [], max_unavailable: 1, down: [], steps: [], estimate_ms: 0, refused: 'not built in yet' }),
		coordinator: () => null,
	};
}
