import { RollcallError } from '../../errors.js';
import { endGroup, ownControlGroup } from '../../system/proc/control-group.js';
import type { Context } from '../context.js';
import { timeoutOf } from '../client/connect.js';
import { writeMessage, writeResult } from '../output/terminal.js';

const timeoutDefaultMs = 60_000;

/**
 * What the unit of a worker host runs to be stopped: drains and ends every process of the unit, also workers that have
 * outlived the crash of their host. systemd itself would end the host alone (KillMode=process).
 */
export async function stopUnit({ options, terminal }: Context<object>): Promise<number> {
	const group = ownControlGroup();
	if (!group?.unit.startsWith('rollcall-workers@')) {
		const text = `--stop is what the unit rollcall-workers@USER.service runs to end itself: systemctl stop rollcall-workers@USER. Without systemd: rollcall stop --config FILE.`;
		throw new RollcallError('usage', text);
	}
	// systemd leaves MAINPID out when it knows that the main process is gone.
	const mainPid = Number(process.env['MAINPID'] ?? Number.NaN);
	const ended = await endGroup(group, {
		mainPid: mainPid > 0 ? mainPid : null,
		timeoutMs: options.timeout === undefined ? timeoutDefaultMs : timeoutOf(options.timeout),
		spare: [process.ppid],
	});
	if (ended.left.length > 0)
		writeMessage(terminal, `ended processes that had outlived their host: ${ended.left.join(', ')}`);
	if (ended.killed.length > 0) writeMessage(terminal, `killed what did not end in time: ${ended.killed.join(', ')}`);
	writeResult(terminal, { unit: group.unit, ...ended }, () => `${group.unit} is empty`);
	return 0;
}
