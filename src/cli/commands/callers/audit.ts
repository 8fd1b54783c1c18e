import { RollcallError } from '../../../errors.js';
import type { AuditRecord } from '../../../operations/types.js';
import { connect } from '../../client/connect.js';
import type { Context } from '../../context.js';
import { moment } from '../../output/format.js';
import { type Column, table } from '../../output/table.js';
import { type Page, writeResult } from '../../output/terminal.js';

/** The last changes of the node that is asked, oldest first. */
export async function audit({ options, terminal, session }: Context<{ lines: string }>): Promise<number> {
	const lines = Number(options.lines);
	if (!Number.isInteger(lines) || lines < 1)
		throw new RollcallError('usage', `--lines takes a number of changes, not '${options.lines}'.`);
	const { client } = await connect(options, session.signal);
	try {
		const records = (await client.operation('read_audit', { lines })) as AuditRecord[];
		writeResult(terminal, records, (page) => auditText(records, page));
		return 0;
	} finally {
		client.close();
	}
}

const columns: readonly Column<AuditRecord>[] = [
	{ title: 'TIME', value: ({ time }) => moment(time) },
	{ title: 'WHO', value: ({ user }) => user ?? 'no credentials' },
	{ title: 'ROLE', value: ({ role }) => role, leaveOff: 2 },
	{ title: 'FROM', value: ({ from }) => from, leaveOff: 3 },
	{ title: 'OPERATION', value: ({ operation }) => operation },
	{
		title: 'RESULT',
		value: ({ status }) => (status < 400 ? 'done' : `refused (${status})`),
		tone: ({ status }) => (status < 400 ? null : 'bad'),
	},
	{ title: 'WHAT', value: whatOf, cut: 'end', leaveOff: 4 },
];

/** What was asked for, as it would be typed; the reason where it was refused. */
function whatOf({ fields, error }: AuditRecord): string | null {
	if (error !== null) return error;
	const given = Object.entries(fields ?? {});
	return given.length === 0
		? null
		: given.map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`).join(' ');
}

const auditText = (records: readonly AuditRecord[], page: Page): string =>
	records.length === 0 ? 'no changes' : table(records, columns, page);
