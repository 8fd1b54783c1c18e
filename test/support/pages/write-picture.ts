/** `npm run picture`: src/manual/roll.svg, a terminal session of a real fleet on loopback: a roll, then a release that is refused. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { startCommand } from '../cli/command.js';
import { repository } from './pages.js';
import { terminalPicture } from './picture.js';

const names = ['alpha', 'beta', 'gamma'];
const socketPattern = /--socket (\S+)\/alpha\/run\/admin\.sock/;
const badRelease = "throw new Error('DATABASE_URL is not set');\n";

const demo = spawn(process.execPath, [`${repository}dist/src/demo/start.js`], { stdio: ['ignore', 'pipe', 'inherit'] });
try {
	const folder = await folderOf();
	const good = await session(folder);
	const script = join(folder, 'server.cjs');
	writeFileSync(script, badRelease);
	for (const name of names) useScript(join(folder, name, 'rollcall.yaml'), script);
	const refused = await session(folder);
	const anonymous = [...good, '', ...refused].map((line) => line.replaceAll(folder, '/srv/web'));
	writeFileSync(`${repository}src/manual/roll.svg`, terminalPicture(anonymous));
} finally {
	demo.kill('SIGINT');
	if (demo.exitCode === null) await once(demo, 'exit');
}

/** Where the demo has its files, once its nodes are ready. */
async function folderOf(): Promise<string> {
	for await (const line of createInterface({ input: demo.stdout })) {
		const [, folder] = socketPattern.exec(line) ?? [];
		if (folder !== undefined) return folder;
	}
	throw new Error('The demo ended before its nodes were ready.');
}

/** The prompt, and what the command says: progress first, then the result. */
async function session(folder: string): Promise<string[]> {
	const words = ['rollout', 'start'];
	const { result } = startCommand([...words, '--socket', join(folder, 'alpha/run/admin.sock')]);
	const { stdout, stderr } = await result;
	const progress = stderr.split('\n').filter((line) => /^\d\d:\d\d:\d\d \w+ (restarting|back|refused)/.test(line));
	const table = stdout.split('\nrollout ')[0] ?? '';
	return [`$ rollcall ${words.join(' ')}`, ...progress, ...table.trimEnd().split('\n')];
}

function useScript(configFile: string, script: string): void {
	const configuration = JSON.parse(readFileSync(configFile, 'utf8')) as {
		http_workers: { script: string; cwd: string }[];
	};
	for (const app of configuration.http_workers) Object.assign(app, { script, cwd: dirname(script) });
	writeFileSync(configFile, JSON.stringify(configuration), { mode: 0o600 });
}
