import { RollcallError } from '../../errors.js';
import type { RolloutView } from '../../rollout/types.js';
import { count, flag, list, optionalText, text } from '../fields.js';
import { dryRun, noteField, startedSchema, startOrPlan } from './restart.js';
import { jobOf } from './job-view.js';
import { operation, userOf } from '../operation.js';
import { rolloutSchema } from './rollout-schema.js';
import type { OperationContext } from '../types.js';

const id = text({ summary: 'The rollout, as its start answered it.' });
const listMax = 100;

function find({ node }: OperationContext, rollout: string): RolloutView {
	const view = node.fleet.get(rollout);
	if (!view) throw new RollcallError('not_found', `Rollout '${rollout}' not found`);
	return view;
}

/** The rollout to undo where the request names none. */
function newest({ node }: OperationContext): RolloutView {
	const view = node.fleet.list(listMax).find(({ service, replicated }) => service === 'http_workers' && replicated);
	if (!view) throw new RollcallError('invalid', 'There is no rollout of http_workers over the fleet to undo');
	return view;
}

/** Ending a rollout on one node is allowed on that node's socket only: over the network it is easy to pick the wrong node. */
function requireSocket({ caller }: OperationContext): void {
	if (caller.transport === 'socket') return;
	throw new RollcallError(
		'forbidden',
		"'local' is taken over the admin socket alone: run rollcall rollout abort --local ID on the node itself",
	);
}

/** The rollout has ended, or waits for an operator's command; one that is about to be reverted does not. */
const isAtRest = ({ state, reverted_by: revertedBy }: RolloutView): boolean =>
	state === 'completed' || state === 'aborted' || (state === 'halted' && !revertedBy);

export const rolloutOperations = [
	operation({
		name: 'get_job',
		access: 'super_user',
		fields: { id: text({ summary: 'The job_id of a restart.' }) },
		summary: 'Answers a rollout as a job, in an array; an empty one if it is not known.',
		answer: { type: 'array', items: { type: 'object' } },
		handler({ node }, request) {
			const view = node.fleet.get(request.id);
			return view ? [jobOf(view)] : [];
		},
	}),
	operation({
		name: 'get_rollout',
		access: 'viewer',
		fields: { id },
		summary:
			'Answers a rollout; with Accept: application/x-ndjson then each change as a line, until it ends or is halted.',
		answer: rolloutSchema,
		handler: (context, request) => find(context, request.id),
		follow(context, request) {
			const { fleet } = context.node;
			return {
				first: find(context, request.id),
				subscribe(listener) {
					const onRollout = (view: RolloutView): void => {
						if (view.id === request.id) listener(view);
					};
					fleet.on('rollout', onRollout);
					return () => fleet.off('rollout', onRollout);
				},
				isLast: (value) => isAtRest(value as RolloutView),
			};
		},
	}),
	operation({
		name: 'list_rollouts',
		access: 'viewer',
		fields: { limit: count({ summary: `How many at most; ${listMax} if not given.`, min: 1, max: listMax }) },
		summary: 'Lists the rollouts that this node knows, newest first.',
		answer: { type: 'array', items: rolloutSchema },
		handler: ({ node }, { limit }) => node.fleet.list(limit ?? listMax),
	}),
	operation({
		name: 'undo_rollout',
		access: 'operator',
		fields: {
			id: optionalText({ summary: 'The rollout to undo; the newest of http_workers over the fleet if not given.' }),
			note: noteField,
			dry_run: dryRun,
		},
		summary: 'Rolls every node that a rollout brought a release to back to what it ran before, node after node.',
		changes: true,
		answer: startedSchema,
		handler(context, request) {
			const { note } = request;
			const undone = request.id === undefined ? newest(context) : find(context, request.id);
			const { id: reverts, type, service, app, replicated } = undone;
			const who = { user: userOf(context), from: context.caller.address };
			const rollout = { type, service, app, replicated, ...who, reverts, ...(note === undefined ? {} : { note }) };
			return startOrPlan(context, rollout, request, `Undoing rollout ${reverts}`);
		},
	}),
	operation({
		name: 'pause_rollout',
		access: 'operator',
		fields: { id },
		summary: 'Starts no further step; a running step finishes.',
		changes: true,
		answer: rolloutSchema,
		handler: (context, request) => context.node.fleet.pause(find(context, request.id).id, userOf(context)),
	}),
	operation({
		name: 'resume_rollout',
		access: 'operator',
		fields: { id, skip: list({ summary: 'Nodes that stay as they are.' }) },
		summary: 'Goes on with a paused or halted rollout.',
		changes: true,
		answer: rolloutSchema,
		handler: (context, request) =>
			context.node.fleet.resume(find(context, request.id).id, request.skip ?? [], userOf(context)),
	}),
	operation({
		name: 'abort_rollout',
		access: 'operator',
		fields: {
			id,
			local: flag(
				'Ends it on this node alone, once no majority was heard for five leases; over the admin socket alone.',
			),
		},
		summary: 'Ends a rollout: a running step finishes, the rest is skipped.',
		changes: true,
		answer: rolloutSchema,
		handler(context, request) {
			if (request.local) requireSocket(context);
			const scope = request.local ? 'node' : 'fleet';
			return context.node.fleet.abort(find(context, request.id).id, userOf(context), scope);
		},
	}),
	operation({
		name: 'admit_node',
		access: 'super_user',
		fields: { node: text({ summary: 'The node that lost its state.' }) },
		summary: 'Lets a node that lost its state vote and count again.',
		changes: true,
		answer: { type: 'object', properties: { message: { type: 'string' } } },
		async handler(context, request) {
			await context.node.fleet.admit(request.node, userOf(context));
			return { message: `Node '${request.node}' admitted` };
		},
	}),
];
