import type { RolloutRequest } from '../../fleet/types.js';
import type { OnFailure, Service } from '../../rollout/types.js';
import { countOrPercent, flag, optionalText, text, withOneFault } from '../fields.js';
import { operation, userOf } from '../operation.js';

const restartMessage = 'Restarting HarperDB. This may take up to 60 seconds.';
const services: readonly Service[] = ['http_workers', 'clustering_config', 'clustering'];
const appLengthMax = 128;
const replicated = flag('Every node of the fleet, one after the other; otherwise this node alone.');

export const restartOperations = [
	operation({
		name: 'restart',
		access: 'super_user',
		fields: { replicated },
		summary: 'Restarts the instance: workers, worker host and control plane.',
		changes: true,
		answer: {
			type: 'object',
			properties: { message: { type: 'string' }, job_id: { type: 'string', format: 'uuid' } },
		},
		async handler(context, request) {
			const view = await context.node.fleet.startRollout({
				type: 'restart',
				service: null,
				app: null,
				replicated: request.replicated ?? false,
				user: userOf(context),
			});
			return request.replicated ? { message: restartMessage, job_id: view.id } : { message: restartMessage };
		},
	}),
	operation({
		name: 'restart_service',
		access: 'super_user',
		fields: {
			service: withOneFault(text<Service>({ summary: 'What to restart.', values: services }), 'Invalid service'),
			replicated,
			app: optionalText({
				summary: 'One app of http_workers alone.',
				// Peers cut a link over which a longer one comes.
				lengthMax: appLengthMax,
				rule: (_, { service }) =>
					service === 'clustering' || service === 'clustering_config'
						? `'app' is not allowed with service '${service}'`
						: null,
			}),
			dry_run: flag('Answers what would be done, and does nothing.'),
			max_unavailable: countOrPercent('How many nodes may be out at once; the configuration says it if not given.'),
			on_failure: optionalText<OnFailure>({
				summary: 'What a failed step does to the rest.',
				values: ['halt', 'continue'],
			}),
		},
		summary: 'Replaces the http workers new before old, renews the links, or applies the cluster configuration.',
		changes: true,
		answer: {
			type: 'object',
			properties: { message: { type: 'string' }, job_id: { type: 'string', format: 'uuid' } },
		},
		async handler(context, request) {
			const { fleet } = context.node;
			const rollout: RolloutRequest = {
				type: 'restart_service',
				service: request.service,
				app: request.app ?? null,
				replicated: request.replicated ?? false,
				user: userOf(context),
				...(request.max_unavailable === undefined ? {} : { maxUnavailable: request.max_unavailable }),
				...(request.on_failure === undefined ? {} : { onFailure: request.on_failure }),
			};
			if (request.dry_run) return fleet.plan(rollout);
			const view = await fleet.startRollout(rollout);
			return { message: `Restarting ${request.service}`, job_id: view.id };
		},
	}),
];
