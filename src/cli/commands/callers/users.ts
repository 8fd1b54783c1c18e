import { askNewPassword } from '../../client/password.js';
import { connect } from '../../client/connect.js';
import type { Context } from '../../context.js';
import { anyText } from '../../output/render.js';
import { writeResult } from '../../output/terminal.js';

/** Adds a user; the password is asked for. */
export async function add(context: Context<{ role: string }>, username: string): Promise<number> {
	return change(context, 'add_user', { username, role: context.options.role });
}

/** Gives a user a new password, which ends the user's tokens. */
export async function setPassword(context: Context, username: string): Promise<number> {
	return change(context, 'alter_user', { username });
}

async function change(
	{ options, terminal, session }: Context,
	operation: string,
	fields: Record<string, unknown>,
): Promise<number> {
	const { client } = await connect(options, session.signal);
	try {
		// Asked for only where somebody answers who may do it.
		await client.operation('list_users');
		const password = await askNewPassword(session.signal);
		const answer = await client.operation(operation, { ...fields, password });
		writeResult(terminal, answer, (page) => anyText(answer, page));
		return 0;
	} finally {
		client.close();
	}
}
