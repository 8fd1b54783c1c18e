import type { ApiTokenRow } from '../../../operations/types.js';
import { connect } from '../../client/connect.js';
import type { Context } from '../../context.js';
import { moment } from '../../output/format.js';
import { anyText } from '../../output/render.js';
import { type Column, table } from '../../output/table.js';
import { clean, writeMessage, writeResult } from '../../output/terminal.js';

interface Created {
	name: string;
	role: string;
	token: string;
	expires_at: number;
}

/** Makes a token. The token alone goes to stdout, so that it can go into a file without being seen. */
export async function create(
	{ options, terminal, session }: Context<{ role: string; expiresIn?: string }>,
	name: string,
): Promise<number> {
	const { client } = await connect(options, session.signal);
	try {
		const expires = options.expiresIn === undefined ? {} : { expires_in: options.expiresIn };
		const made = (await client.operation('create_token', { name, role: options.role, ...expires })) as Created;
		writeResult(terminal, made, () => clean(made.token));
		const { role, expires_at } = made;
		writeMessage(
			terminal,
			`${made.name}: role ${role}, until ${moment(expires_at)}. It is not shown again; --token-file takes it from a file that only its owner may read (chmod 600).`,
		);
		return 0;
	} finally {
		client.close();
	}
}

export async function list({ options, terminal, session }: Context): Promise<number> {
	const { client } = await connect(options, session.signal);
	try {
		const rows = (await client.operation('list_tokens')) as ApiTokenRow[];
		const now = Date.now();
		const columns: Column<ApiTokenRow>[] = [
			{ title: 'TOKEN', value: ({ name }) => name },
			{ title: 'ROLE', value: ({ role }) => role },
			{
				title: 'UNTIL',
				value: ({ expires_at }) => `${moment(expires_at)}${expires_at <= now ? ' (expired)' : ''}`,
				tone: ({ expires_at }) => (expires_at <= now ? 'bad' : null),
			},
			{ title: 'MADE', value: ({ created_at }) => moment(created_at), leaveOff: 1 },
			{ title: 'BY', value: ({ created_by }) => created_by, leaveOff: 2 },
		];
		writeResult(terminal, rows, (page) => (rows.length === 0 ? 'no tokens' : table(rows, columns, page)));
		return 0;
	} finally {
		client.close();
	}
}

export async function drop({ options, terminal, session }: Context, name: string): Promise<number> {
	const { client } = await connect(options, session.signal);
	try {
		const answer = await client.operation('drop_token', { name });
		writeResult(terminal, answer, (page) => anyText(answer, page));
		return 0;
	} finally {
		client.close();
	}
}
