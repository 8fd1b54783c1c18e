import type { RolloutState, RolloutView } from '../../rollout/types.js';

export type JobStatus = 'CREATED' | 'IN_PROGRESS' | 'COMPLETE' | 'ERROR';

/** A rollout as `get_job` shows it; times in ms since 1970. */
export interface JobView {
	id: string;
	type: string;
	status: JobStatus;
	message: string;
	/** Only for a replicated one. */
	result?: { replicated: { node: string; message: string }[] };
	user: string;
	created_datetime: number;
	/** null until the first step begins. */
	start_datetime: number | null;
	end_datetime?: number;
}

export function jobStatus(state: RolloutState): JobStatus {
	switch (state) {
		case 'planned':
			return 'CREATED';
		case 'running':
		case 'paused':
			return 'IN_PROGRESS';
		case 'completed':
			return 'COMPLETE';
		case 'halted':
		case 'aborted':
			return 'ERROR';
	}
}

export function jobOf(view: RolloutView): JobView {
	const begun = view.nodes.flatMap(({ started_at }) => (started_at === null ? [] : [started_at]));
	return {
		id: view.id,
		type: view.type,
		status: jobStatus(view.state),
		message: messageOfJob(view),
		...(view.replicated ? { result: { replicated: view.nodes.map(messageOfNode) } } : {}),
		user: view.user,
		created_datetime: view.created_at,
		start_datetime: begun.length > 0 ? Math.min(...begun) : null,
		...(view.ended_at === null ? {} : { end_datetime: view.ended_at }),
	};
}

function messageOfJob(view: RolloutView): string {
	const what = view.service ?? 'HarperDB';
	switch (view.state) {
		case 'planned':
			return `Waiting to restart ${what}`;
		case 'running':
			return view.waiting_for === null ? `Restarting ${what}` : `Restarting ${what}: ${view.waiting_for}`;
		case 'paused':
			return view.waiting_for === null ? `Paused` : `Paused: ${view.waiting_for}`;
		case 'completed':
			return `Restarted ${what}`;
		case 'halted':
		case 'aborted':
			return view.reason ?? `Restarting ${what} was ${view.state}`;
	}
}

function messageOfNode(node: RolloutView['nodes'][number]): { node: string; message: string } {
	return {
		node: node.node,
		message: node.reason === null ? wordOf(node.state) : `${wordOf(node.state)}: ${node.reason}`,
	};
}

function wordOf(state: RolloutView['nodes'][number]['state']): string {
	switch (state) {
		case 'pending':
			return 'Waiting';
		case 'restarting':
			return 'Restarting';
		case 'back':
			return 'Restarted';
		case 'refused':
			return 'Refused, the old workers serve on';
		case 'failed':
			return 'Failed';
		case 'skipped':
			return 'Skipped';
	}
}
