import type { ClusterNode } from '../../../fleet/types.js';
import type { ShownRollout } from '../../output/rollout-shapes.js';
import type { PinnedBy, Release, WorkerRow } from '../../../workers/types.js';

export interface AppStatus {
	app: string;
	wanted: number;
	healthy: number;
	degraded: string | null;
	listens?: false;
	release?: Release | null;
	pinned?: PinnedBy | null;
}

/** What a node says of itself. */
export interface Standing {
	ready: boolean;
	/** Why it is not ready. */
	reasons: string[];
	/** What an operator should know though it makes nothing unready. */
	notes: string[];
	apps: AppStatus[];
}

/** A node that was asked, or why it does not answer. */
export type AskedNode =
	| (Standing & { name: string; boot: number; workers: WorkerRow[] })
	| { name: string; error: string };

export const isSilent = (one: AskedNode): one is { name: string; error: string } => 'error' in one;

/** What `status --json` prints. */
export interface Status {
	/** What an operator should look at, the worst first; empty when all is well. */
	wrong: string[];
	/** The node that was asked for; of all, the one that answers. */
	node: Standing & { name: string; boot: number };
	/** Of that node. */
	workers: WorkerRow[];
	/** With `--node`: those that were asked. */
	nodes?: AskedNode[];
	fleet: { coordinator: string | null; nodes: ClusterNode[] };
	/** The rollout that has not ended (running, paused or halted), null if there is none. */
	rollout: ShownRollout | null;
}
