import { faults } from '../../errors.js';
import type { WorkerRow } from '../../workers/types.js';
import type { Context } from '../context.js';
import { connect } from '../client/connect.js';
import { type NodeRow, nodeRows, workersText } from '../output/render.js';
import { writeResult } from '../output/terminal.js';

/** 1 when a node that was asked does not answer; the others are shown all the same. */
export async function workers({ options, terminal, session }: Context<{ node?: string }>): Promise<number> {
	const { client } = await connect(options, session.signal);
	try {
		const { node } = options;
		const asked = node === undefined ? {} : { node };
		const rows = (await client.operation('list_workers', asked)) as (WorkerRow | NodeRow<WorkerRow>)[];
		writeResult(terminal, rows, (page) => workersText(rows, Date.now(), page));
		return nodeRows(rows).silent.length === 0 ? 0 : faults.unavailable.exit;
	} finally {
		client.close();
	}
}
