import type { WorkerRow } from '../../workers/types.js';
import type { Context } from '../context.js';
import { workersText } from '../output/render.js';
import { connect } from '../client/connect.js';
import { writeResult } from '../output/terminal.js';

export async function workers({ options, terminal, session }: Context): Promise<number> {
	const { client } = await connect(options, session.signal);
	const rows = (await client.operation('list_workers')) as WorkerRow[];
	writeResult(terminal, rows, (page) => workersText(rows, Date.now(), page));
	client.close();
	return 0;
}
