/**
 * What every command prints with `--json`, published: scripts may rely on it. Keys may be added, none is taken away or
 * given another meaning. Operations print the daemon's answer, whose shapes `/openapi.json` describes. `npm run schema` writes
 * all of it as JSON Schema into config/output.schema.json.
 */
import { z } from '../../zod.js';
import {
	appChanges,
	authority,
	nodeReleases,
	nodeState,
	planShape,
	release,
	rolloutShape,
	rolloutState,
} from './rollout-shapes.js';

const text = z.string();
const whole = z.int();
/** ms since 1970. */
const moment = z.int();
const orNull = <Shape extends z.ZodType>(shape: Shape) => shape.nullable();

/** The rollout that left an app on an earlier release, where it stays until the next one. */
const pinnedBy = z.object({ rollout: text, reason: text });

export const workerShape = z
	.object({
		app: text,
		id: text,
		pid: orNull(whole),
		state: z.enum(['starting', 'proving', 'serving', 'draining', 'backoff', 'failed']),
		started_at: orNull(moment),
		restarts: whole,
		healthy: z.boolean(),
		memory: orNull(z.number()),
		cpu: orNull(z.number()),
		release: text,
		/** What the release was called when the worker was started; null if that is unknown. */
		revision: orNull(text),
		pinned: orNull(pinnedBy),
		/**
		 * Users' requests since its process started, and those answered 5xx, or late where answers are timed; recent: over the last
		 * ten minutes at most. null unless http_workers.traffic compares them.
		 */
		requests: orNull(
			z.object({
				total: whole,
				errors: whole,
				slow: whole.optional(),
				recent: z.object({ ms: whole, total: whole, errors: whole, slow: whole.optional() }).optional(),
			}),
		),
	})
	.meta({ id: 'worker' });

/** With `--node` each row has the node that it is of; one with `error` names a node that does not answer. */
const silentNode = z.object({ node: text, error: text });
export const workersShape = z.array(z.union([workerShape.extend({ node: text.optional() }), silentNode]));

const clusterNode = z.object({
	name: text,
	zone: orNull(text),
	link: z.enum(['self', 'up', 'down']),
	boot: orNull(whole),
	ready: orNull(z.boolean()),
	availability: orNull(text),
	version: orNull(text),
	configuration: orNull(z.enum(['file', 'last_good'])),
	rtt_ms: orNull(z.number()),
	last_seen: orNull(moment),
	/** Why there is no link, as far as this node knows; null while there is one. */
	reason: orNull(text),
	/** By how much its clock is ahead of this node's, in ms; negative if it is behind, null while unknown. */
	clock_offset_ms: orNull(z.number()),
	/** Certificate authorities: those that it accepts, and the ids of those that its certificate comes from; null while unknown. */
	authorities: orNull(z.object({ accepts: z.array(authority), presents: z.array(text) })).optional(),
});

const app = z.object({
	app: text,
	wanted: whole,
	healthy: whole,
	degraded: orNull(text),
	/** Only of an app that listens nowhere: it is no part of readiness. */
	listens: z.literal(false).optional(),
	/** What it runs; null if it runs nothing. */
	release: orNull(release).optional(),
	pinned: orNull(pinnedBy).optional(),
});

const statusNode = z.object({
	name: text,
	boot: whole,
	ready: z.boolean(),
	reasons: z.array(text),
	/** What an operator should know though it makes nothing unready. */
	notes: z.array(text),
	apps: z.array(app),
});

/** A line each time with `--watch`. */
export const statusShape = z.object({
	/** What an operator should look at, the worst first. */
	wrong: z.array(text),
	/** The daemon's own; with `--node` the one that was asked. */
	node: statusNode,
	workers: z.array(workerShape),
	/** With `--node`: those that were asked; one with `error` does not answer. */
	nodes: z
		.array(z.union([statusNode.extend({ workers: z.array(workerShape) }), z.object({ name: text, error: text })]))
		.optional(),
	fleet: z.object({ coordinator: orNull(text), nodes: z.array(clusterNode) }),
	/** The rollout that runs, is paused or is halted. */
	rollout: orNull(rolloutShape),
});

export const stopShape = z.object({
	stopped: z.array(
		z.object({
			what: z.enum(['daemon', 'worker host', 'worker']),
			user: orNull(text),
			pid: whole,
			/** True when it had to be killed. */
			killed: z.boolean(),
		}),
	),
});

export const validateShape = z.object({
	valid: z.literal(true),
	file: text,
	node: text,
	apps: z.array(text),
	peers: z.array(text),
	/** What a roll would add to the daemon that answers on the configuration's admin socket, and remove; null if none answers. */
	changes: orNull(appChanges),
	/** What a worker would stumble over though the daemon starts, such as a script that is not there. */
	warnings: z.array(text),
});

/** It ends with 1 when anything is wrong. Names of checks are kept; there may be more of them. */
export const doctorShape = z.object({
	config: text,
	node: orNull(text),
	wrong: whole,
	warnings: whole,
	unseen: whole,
	findings: z.array(
		z.object({
			subject: text,
			check: text,
			/** `unseen`: it could not be looked at. */
			state: z.enum(['ok', 'warning', 'wrong', 'unseen']),
			text,
			/** A command that fixes it, or shows details. */
			command: orNull(text),
		}),
	),
});

/** What became of the fields of PM2's configuration, with `--from-pm2` and `--from-pm2-list` alone. */
const remarks = z
	.array(
		z.object({
			/** null: of the file as a whole. */
			app: orNull(text),
			field: text,
			outcome: z.enum(['taken', 'changed', 'left out']),
			text,
		}),
	)
	.optional();

export const initShape = z.object({
	file: text,
	/** The shared secret that was made beside it, null if none was. */
	secret_file: orNull(text),
	remarks,
});

/** Of `init --print`: the configuration itself. */
export const initPrintShape = z.object({ text, remarks });

/** Of `worker-host --stop`, which the unit runs: the processes that were asked to end, and those that had to be killed. */
export const unitStopShape = z.object({ unit: text, left: z.array(whole), killed: z.array(whole) });

const certificate = {
	cert: text,
	key: text,
	serial: text,
	fingerprint256: text,
	valid_from: moment,
	valid_to: moment,
};

export const caInitShape = z.object({ authority: text, ...certificate });

export const caIssueShape = z.object({ node: text, ca: text, ...certificate, authority_valid_to: moment });

/** Of all commands of `fleet`. */
export const fleetShape = z.object({
	fleet: text,
	folder: text,
	/** Those that have a new bundle, which is a file in the folder. */
	nodes: z.array(z.object({ node: text, url: orNull(text), bundle: text, valid_to: moment })),
	/** What to type next, in this order: on each of these hosts, whose name stands for NODE; on any node where there are none. */
	steps: z.array(z.object({ hosts: z.array(text), lines: z.array(text) })),
});

export const caRotateShape = z.object({
	/** The step that the nodes are to take now; null: no rotation is under way. */
	step: orNull(z.union([z.literal(1), z.literal(2), z.literal(3)])),
	/** The name of the new authority; of the only one without a rotation. */
	authority: text,
	/** What was written. */
	files: z.array(text),
	/** The nodes that are to get them. */
	nodes: z.array(text),
});

/** Also of uninstall: what was done, step by step, or would be with `--dry-run`. */
export const installShape = z.object({
	steps: z.array(z.object({ text, outcome: z.enum(['done', 'as it was', 'would be done']) })),
});

/** One of these a line. */
export const logLineShape = z.union([
	z.object({
		time: moment,
		/** Left out where no daemon answers and the files of this host are read. */
		node: text.optional(),
		app: text,
		worker: text,
		stream: z.enum(['out', 'error']),
		line: text,
	}),
	/** Lines of this node are missing, and why. */
	silentNode,
	/** With `-f`: a node that was lost is followed again. */
	z.object({ node: text, note: text }),
]);

/** The answer of restart and restart_service with `--detach`. */
export const startedShape = z.object({ message: text, job_id: text });

/** What an operator says of a node; null: nothing. */
export const nodeAvailabilityShape = z.object({ node: text, availability: orNull(text) });

const role = z.enum(['super_user', 'operator', 'viewer']);

export const messageShape = z.object({ message: text });

export const tokenCreateShape = z.object({ name: text, role, token: text, expires_at: moment });

export const tokenListShape = z.array(
	z.object({ name: text, role, created_by: text, created_at: moment, expires_at: moment }),
);

export const auditShape = z.array(
	z.object({
		time: moment,
		user: orNull(text),
		/** The user of the host, over the admin socket; null where the kernel does not say. */
		uid: orNull(whole),
		role: orNull(role),
		by: text,
		from: text,
		operation: text,
		/** Without secrets; null if the request was refused before its fields were parsed. */
		fields: orNull(z.record(text, z.unknown())),
		/** As HTTP has it: 200 is done. */
		status: whole,
		error: orNull(text),
		rollout: orNull(text),
		/** How many records before this one stand in the log alone. */
		left_out: whole.optional(),
	}),
);

/** The document of each command on stdout. */
export const resultShapes = {
	status: statusShape,
	workers: workersShape,
	logs: logLineShape,
	'rollout plan': planShape,
	/** Followed to its end. */
	'rollout start': rolloutShape,
	'rollout start --detach': startedShape,
	/** Followed to its end. */
	'rollout undo': rolloutShape,
	'rollout undo --detach': startedShape,
	'rollout undo --dry-run': planShape,
	'rollout status': rolloutShape,
	'rollout history': z.array(rolloutShape),
	'rollout follow': rolloutShape,
	'rollout pause': rolloutShape,
	'rollout resume': rolloutShape,
	'rollout abort': rolloutShape,
	/** Followed to its end; so too `restart replicated=true`. */
	restart_service: rolloutShape,
	'restart_service --detach': startedShape,
	'restart_service dry_run=true': planShape,
	stop: stopShape,
	'worker-host --stop': unitStopShape,
	validate: validateShape,
	doctor: doctorShape,
	completion: z.object({ script: text }),
	init: initShape,
	'init --print': initPrintShape,
	install: installShape,
	uninstall: installShape,
	'ca init': caInitShape,
	'ca issue': caIssueShape,
	'fleet init': fleetShape,
	'fleet add': fleetShape,
	'fleet renew': fleetShape,
	'ca rotate': caRotateShape,
	'app restart': rolloutShape,
	'app restart --detach': startedShape,
	'node drain': nodeAvailabilityShape,
	'node ready': nodeAvailabilityShape,
	'user add': messageShape,
	'user password': messageShape,
	'token create': tokenCreateShape,
	'token list': tokenListShape,
	'token drop': messageShape,
	audit: auditShape,
} as const;

/** Each line on stderr with `--json`. */
export const messageLineShape = z.discriminatedUnion('event', [
	z.object({
		event: z.literal('progress'),
		rollout: text,
		at: moment,
		state: rolloutState,
		/** null: the line is about the rollout as a whole. */
		node: orNull(text),
		node_state: orNull(nodeState),
		attempt: orNull(whole),
		elapsed_ms: orNull(z.number()),
		waiting_for: orNull(text),
		reason: orNull(text),
		/** Of the node, from what to what; null where that is not known. */
		release: orNull(nodeReleases).optional(),
	}),
	z.object({ event: z.literal('message'), text }),
	/** The last line of a command that failed; `exit` is its exit code, further keys are the daemon's. */
	z.looseObject({ event: z.literal('error'), error: text, exit: whole }),
]);

/** The content of config/output.schema.json: every document by the words of its command, and the lines on stderr. */
export function jsonSchemasText(): string {
	const all = z.object({ ...resultShapes, stderr: messageLineShape });
	// As an input schema it lets further keys in. The limits of whole numbers in JavaScript say nothing here.
	const { $schema, ...schema } = z.toJSONSchema(all, {
		io: 'input',
		override: ({ jsonSchema }) => {
			if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
			if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
		},
	});
	const title = 'What each command of rollcall prints with --json, by its words';
	return `${JSON.stringify({ $schema, title, ...schema }, null, '\t')}\n`;
}
