import type { EventEmitter } from 'node:events';
import type { Logger } from '../log.js';
import type { Clock } from './clock.js';
import type { FleetConfig, Membership } from './links/membership.js';
import type { Sync } from './shell/record-log.js';
import type { AskedNodes, NodeAnswer } from './queries/queries.js';
import type { LogLine } from './queries/merged-by-time.js';
import type { LogsQuery, Query, QueryPart } from './queries/schema.js';
import type { HookRequest } from '../rollout/messages.js';
import type { Scope } from '../rollout/targets/scope.js';
import type {
	AppChanges,
	Authorities,
	HookResult,
	NodeName,
	NodeReleases,
	Releases,
	OnFailureAsked,
	Readiness,
	RolloutId,
	RolloutPlan,
	RolloutSpec,
	RolloutType,
	RolloutView,
	Service,
	Snapshot,
	StepResult,
} from '../rollout/types.js';

/** What an operator asked for, before defaults. */
export interface RolloutRequest extends Scope {
	type: RolloutType;
	service: Service | null;
	replicated: boolean;
	user: string;
	/** A number of nodes, or a text with per cent; undefined: the configuration's. */
	maxUnavailable?: number | string;
	onFailure?: OnFailureAsked;
	/** These select; without them the request covers every node. */
	nodes?: readonly NodeName[];
	zone?: string;
	/** It pauses once so many nodes are back, 0: it does not; undefined: the configuration's. */
	holdAfter?: number;
	note?: string;
	/** Where the request came from: `socket`, a network address, or `signal`. */
	from?: string;
	/** The rollout that it undoes: nodes, apps and releases are those that this one knows. */
	reverts?: RolloutId;
}

/** One row of `cluster_status`, with its names. */
export interface ClusterNode {
	name: NodeName;
	zone: string | null;
	link: 'self' | 'up' | 'down';
	boot: number | null;
	ready: boolean | null;
	availability: string | null;
	version: string | null;
	/** What it runs by: its configuration file, or the last good one because that does not check; null while unknown. */
	configuration: 'file' | 'last_good' | null;
	rtt_ms: number | null;
	/** ms since 1970. */
	last_seen: number | null;
	/** Why there is no link, as far as this node knows, refusals of both ends included; null while there is one. */
	reason: string | null;
	/** ms that its clock is ahead of this node's, negative if it is behind; null while unknown. */
	clock_offset_ms: number | null;
	/**
	 * The authorities that its `cluster.tls.ca` accepts, and the ids of those that its certificate comes from; null without
	 * a link, without TLS, and if it does not say.
	 */
	authorities: Authorities | null;
}

/** One row of `system_information` `replication`. */
export interface ReplicationRow {
	node: NodeName;
	url: string;
	connected: boolean;
	/** ms since 1970 of the present link, null if down. */
	since: number | null;
	rtt_ms: number | null;
	sent: number;
	received: number;
	reconnects: number;
}

export interface FleetEvents {
	/** A rollout that this node knows changed; the whole view. Everyone who follows gets each change. */
	rollout: [RolloutView];
	link: [{ node: NodeName; up: boolean; reason: string | null }];
	/** A record file was damaged, cut, or could not be written. */
	recordError: [{ file: string; reason: string }];
}

/** The fleet as operations see it. Refusals are RollcallErrors: conflict (with `job_id`), unavailable, not_found. */
export interface Fleet extends EventEmitter<FleetEvents> {
	/** Resolves when the 200 may be sent (ROLLOUT.md, 1): the lease is held and the first step is allowed, or the local job is queued. */
	startRollout(request: RolloutRequest): Promise<RolloutView>;
	/** What a start would do now, own file included; nothing is started, and what would refuse it is `refused`. */
	plan(request: RolloutRequest): Promise<RolloutPlan>;
	/** `user`: who asked, as shown in views of the rollout. */
	pause(id: RolloutId, user?: string): Promise<RolloutView>;
	resume(id: RolloutId, skip: readonly NodeName[], user?: string): Promise<RolloutView>;
	/** `node`: ends it on this node alone; `unavailable` until no majority has been heard for five leases. */
	abort(id: RolloutId, user?: string, scope?: 'fleet' | 'node'): Promise<RolloutView>;
	admit(node: NodeName, user?: string): Promise<void>;
	/** Throws `unavailable` while the records cannot be written. */
	get(id: RolloutId): RolloutView | undefined;
	/** Newest first, at most `limit`. Throws as `get` does. */
	list(limit: number): RolloutView[];
	/** Why this node decides nothing, for an operator: its records cannot be written, or it has left; null when all is well. */
	complaint(): string | null;
	clusterStatus(): { node: NodeName; boot: number; coordinator: NodeName | null; nodes: ClusterNode[] };
	/** Asks one node or all, this one included, at once. Throws `not_found` for a name that is no member's. */
	ask(query: Query, asked: AskedNodes): NodeAnswer[];
	/** Lines of the workers of one node or all, by their time. Throws as {@link Fleet.ask} does. */
	logs(query: Omit<LogsQuery, 'about' | 'charactersMax'>, asked: AskedNodes): AsyncIterable<LogLine>;
	replication(): ReplicationRow[];
	/** The durable stores of the fleet: one row each. */
	stores(): { table: string; record_count: number; table_size: number }[];
	close(): Promise<void>;
}

/** What the fleet needs from its own node; the composition root gives it. */
export interface LocalNode {
	readiness(): Readiness;
	onReadiness(listener: () => void): void;
	snapshot(): Pick<Snapshot, 'workers' | 'releases'>;
	/**
	 * Rows of this node, for a caller that may ask: a part is made when the one before was taken. `peer`: the node that the
	 * caller asked, if it is another one.
	 */
	answer(query: Query, signal: AbortSignal, peer: NodeName | null): AsyncIterable<QueryPart>;
	/** Resolves once a daemon that has just started knows which workers live. */
	settled(): Promise<void>;
	/**
	 * Reads the configuration again as far as the request needs it; throws RollcallError `unavailable` naming node and key.
	 * Nothing is started. Resolves to what the request would bring and take away; null where no app is concerned.
	 */
	preflight(request: {
		service: Service | null;
		/** The apps that it covers; null: all. */
		only: readonly string[] | null;
		/** What would be started is looked up, too. */
		dryRun: boolean;
		/** By app, the release that it is to go back to; throws `unavailable` if one is gone or was written over. null: each starts what its file says. */
		putBack: Releases | null;
	}): Promise<(AppChanges & { names: string[]; releases: NodeReleases | null }) | null>;
	/**
	 * Does one step here and proves it. `before` is the stored set; `recovered` is true when the daemon died in the
	 * middle and goes forward. For type `restart` with recovered false the promise never settles: the process ends.
	 */
	execute(step: {
		spec: RolloutSpec;
		/** The apps that it covers; null: all. */
		only: readonly string[] | null;
		attempt: number;
		before: Snapshot;
		recovered: boolean;
		/** As in the preflight. An app that goes back stays there until the next step that covers it. */
		putBack: Releases | null;
		/** Why nothing is to be replaced: the step gives evidence of what runs, and is refused. */
		refused?: string | undefined;
		onProgress: (text: string) => void;
	}): Promise<StepResult>;
	/** Runs the command that the configuration has for this hook, to its end or its timeout. */
	runHook(request: HookRequest): Promise<HookResult>;
}

export interface FleetOptions {
	config: FleetConfig;
	/** Holds records.log; made with 0700 if it is not there. */
	stateDir: string;
	/** Of this build, for peers to show. */
	version: string;
	local: LocalNode;
	/** Reads the configuration file again for the service clustering_config; throws with key and fault. */
	readConfig(): FleetConfig | Promise<FleetConfig>;
	/** Told at the start, and whenever clustering_config has put another reading in force. */
	onApplied?(membership: Membership): void;
	logger: Logger;
	clock?: Clock;
}

/** For measurements alone. */
export interface FleetProbe {
	/** The latest syncs of the record file. */
	recordSyncs(): readonly Sync[];
}

/** Takes no part yet: what it asks of the world is its own file and its own address. */
export interface OpenedFleet extends Fleet, FleetProbe {
	/** Counts the boot, carries on what was left in the middle, and dials. Throws `unavailable` (the record file). */
	begin(): Promise<void>;
}
