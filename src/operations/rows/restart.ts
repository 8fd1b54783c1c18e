import type { RolloutRequest } from '../../fleet/types.js';
import type { OnFailureAsked, Service } from '../../rollout/types.js';
import { count, countOrPercent, flag, list, optionalText, text, textOrList, withOneFault } from '../fields.js';
import { operation, userOf } from '../operation.js';
import type { OperationContext } from '../types.js';

const restartMessage = 'Restarting HarperDB. This may take up to 60 seconds.';
const services: readonly Service[] = ['http_workers', 'clustering_config', 'clustering'];
const appLengthMax = 128;
/** As peers take it; see fleet/messages.ts. */
const appsMax = 256;
const zoneLengthMax = 63;
/** As peers take it; see fleet/messages.ts. */
const noteLengthMax = 256;
/** Control characters, half characters, and what turns or breaks a line: a note stands in tables and logs. */
const unprintable = /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
const noteFault = (value: unknown): string | null =>
	typeof value === 'string' && unprintable.test(value) ? "'note' must be one line without control characters" : null;
export const startedSchema = {
	type: 'object',
	properties: { message: { type: 'string' }, job_id: { type: 'string', format: 'uuid' } },
};
export const noteField = optionalText({
	summary: 'Why, for those who see the rollout.',
	lengthMax: noteLengthMax,
	rule: noteFault,
});
const replicated = flag('Every node of the fleet, one after the other; otherwise this node alone.');

// Peers cut a link over which a longer name comes.
const oneApp = { summary: 'One app of http_workers alone.', lengthMax: appLengthMax };
export const dryRun = flag('Answers what would be done, and does nothing.');
const maxUnavailable = countOrPercent('How many nodes may be out at once; the configuration says it if not given.');
const onFailure = optionalText<OnFailureAsked>({
	summary: 'What a failed step does to the rest.',
	values: ['halt', 'continue', 'revert'],
});

/** Starts the rollout, or answers what that would do. */
export async function startOrPlan(
	{ node: { fleet } }: OperationContext,
	rollout: RolloutRequest,
	{ dry_run: isDryRun }: { dry_run: boolean | undefined },
	message: string,
): Promise<unknown> {
	if (isDryRun) return fleet.plan(rollout);
	const view = await fleet.startRollout(rollout);
	return { message, job_id: view.id };
}

export const restartOperations = [
	operation({
		name: 'start_rollout',
		access: 'operator',
		fields: {
			app: textOrList({ summary: 'One app of http_workers, or some.', lengthMax: appLengthMax, itemsMax: appsMax }),
			nodes: list({ summary: 'These nodes alone; the others are not touched.', lengthMin: 1 }),
			zone: optionalText({ summary: 'The nodes of this zone alone.', lengthMax: zoneLengthMax }),
			hold_after: count({
				summary: 'Pauses once so many nodes are back; 0 does not. The configuration says it if not given.',
				min: 0,
				max: Number.MAX_SAFE_INTEGER,
			}),
			note: noteField,
			max_unavailable: maxUnavailable,
			on_failure: onFailure,
			dry_run: dryRun,
		},
		summary: 'Rolls the http workers of the fleet, node after node, each proven back before the next begins.',
		changes: true,
		answer: startedSchema,
		handler(context, request) {
			const { nodes, zone, hold_after: holdAfter, note } = request;
			const rollout: RolloutRequest = {
				...serviceRollout(context, { ...request, service: 'http_workers', replicated: true }),
				...(nodes === undefined ? {} : { nodes }),
				...(zone === undefined ? {} : { zone }),
				...(holdAfter === undefined ? {} : { holdAfter }),
				...(note === undefined ? {} : { note }),
			};
			return startOrPlan(context, rollout, request, 'Rolling http_workers');
		},
	}),
	operation({
		name: 'restart',
		access: 'super_user',
		fields: { replicated },
		summary: 'Restarts the instance: workers, worker host and control plane.',
		changes: true,
		answer: startedSchema,
		async handler(context, request) {
			const view = await context.node.fleet.startRollout({
				type: 'restart',
				service: null,
				app: null,
				replicated: request.replicated ?? false,
				user: userOf(context),
				from: context.caller.address,
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
				...oneApp,
				rule: (_, { service }) =>
					service === 'clustering' || service === 'clustering_config'
						? `'app' is not allowed with service '${service}'`
						: null,
			}),
			dry_run: dryRun,
			max_unavailable: maxUnavailable,
			on_failure: onFailure,
		},
		summary: 'Replaces the http workers new before old, renews the links, or applies the cluster configuration.',
		changes: true,
		answer: startedSchema,
		handler: (context, request) =>
			startOrPlan(context, serviceRollout(context, request), request, `Restarting ${request.service}`),
	}),
];

/** The rollout that the fields of `restart_service` ask for. */
function serviceRollout(
	context: OperationContext,
	request: {
		service: Service;
		app: string | readonly string[] | undefined;
		replicated: boolean | undefined;
		max_unavailable: number | string | undefined;
		on_failure: OnFailureAsked | undefined;
	},
): RolloutRequest {
	return {
		type: 'restart_service',
		service: request.service,
		...scopeAsked(request.app),
		replicated: request.replicated ?? false,
		user: userOf(context),
		from: context.caller.address,
		...(request.max_unavailable === undefined ? {} : { maxUnavailable: request.max_unavailable }),
		...(request.on_failure === undefined ? {} : { onFailure: request.on_failure }),
	};
}

/** In one order, each name once: so asked for again it is the same. */
function scopeAsked(asked: string | readonly string[] | undefined): Pick<RolloutRequest, 'app' | 'apps'> {
	const names = typeof asked === 'object' ? [...new Set(asked)].sort() : [];
	if (names.length > 1) return { app: null, apps: names };
	return { app: typeof asked === 'string' ? asked : (names[0] ?? null) };
}
