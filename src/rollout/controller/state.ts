/** How far the rollout is that this node drives, as its lease has come to know. */
import { sameEpoch } from '../../coordination/epoch.js';
import type { Version } from '../messages.js';
import type { CoreState } from '../state.js';
import type { Epoch, NodeName, RolloutId } from '../types.js';

export interface Grant {
	attempt: number;
	version: Version;
	/** The node answered that it has begun. */
	begun: boolean;
}

/** Of one epoch: what was granted under another is forgotten. */
export interface Drive {
	readonly epoch: Epoch;
	/** null: only endings are told. */
	rollout: RolloutId | null;
	/** It began under this lease, so no other coordinator has granted a step of it. */
	openedHere: boolean;
	grants: Record<NodeName, Grant>;
	/** Until when a running step may take, by node and attempt. */
	deadlines: Record<NodeName, { attempt: number; at: number }>;
	overdue: Record<NodeName, number>;
	times: Record<NodeName, { started: number | null; back: number | null }>;
	/** In which order the steps began. */
	begun: NodeName[];
	/** Since when nothing runs although something should; null: something runs, or nothing should. */
	idleSince: number | null;
	/** Since when the undo of this rollout is to be opened, while a majority is heard. */
	revertingSince: number | null;
	/** When the last step was proven, for wait_between. */
	backAt: number | null;
	/** Grants of a rollout that ended under this lease, until their nodes say that they know it ended. */
	stale: Record<NodeName, RolloutId>;
	/** Number of the last view, and of the view that each peer was sent last over its link; 0: it wants all of it again. */
	viewNumber: number;
	shown: Record<NodeName, { rollout: RolloutId; number: number }>;
}

export function newDrive(epoch: Epoch): Drive {
	return {
		epoch,
		rollout: null,
		openedHere: false,
		grants: {},
		deadlines: {},
		overdue: {},
		times: {},
		begun: [],
		idleSince: null,
		revertingSince: null,
		backAt: null,
		stale: {},
		viewNumber: 0,
		shown: {},
	};
}

/** What this node drives under the lease that it holds; null: it holds none. */
export function driveOf(state: CoreState): Drive | null {
	const epoch = state.coordination.leads();
	return epoch && state.drive && sameEpoch(epoch, state.drive.epoch) ? state.drive : null;
}

/** What a new link has carried is nothing. */
export function forgetShown(state: CoreState, peer: NodeName): void {
	delete driveOf(state)?.shown[peer];
}

export function nextViewNumber(drive: Drive): number {
	drive.viewNumber += 1;
	return drive.viewNumber;
}

/** An operator resumes it: what still runs gets its deadline anew. */
export function renewDeadlines(drive: Drive, until: number): void {
	for (const deadline of Object.values(drive.deadlines)) deadline.at = until;
	drive.overdue = {};
	drive.idleSince = null;
}
