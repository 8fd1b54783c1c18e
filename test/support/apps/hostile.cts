// An app that is healthy, and at GET /attempts tries what no app may; it answers the attempts that went well.
import fs = require('node:fs');
import http = require('node:http');
import net = require('node:net');

/** Words of the query: the control plane's process, and a worker and the name of another user. */
interface Victims {
	daemon: number;
	worker: number;
	user: string;
}

const connecting = (path: string) =>
	new Promise<void>((resolve, reject) => {
		const connection = net.createConnection(path, () => {
			connection.destroy();
			resolve();
		});
		connection.once('error', reject);
	});

function attempts({ daemon, worker, user }: Victims): Record<string, () => unknown> {
	const home = `/var/lib/rollcall-workers/${user}`;
	return {
		'list the state folder': () => fs.readdirSync('/var/lib/rollcall'),
		'read the records': () => fs.readFileSync('/var/lib/rollcall/records.log'),
		'read the configuration': () => fs.readFileSync('/etc/rollcall/rollcall.yaml'),
		'write the configuration': () => fs.writeFileSync('/etc/rollcall/rollcall.yaml', '', { flag: 'a' }),
		'write the program': () => fs.writeFileSync('/usr/lib/rollcall/dist/src/main.js', '', { flag: 'a' }),
		'use the admin socket': () => connecting('/run/rollcall/admin.sock'),
		'read the environment of the control plane': () => fs.readFileSync(`/proc/${daemon}/environ`),
		'signal the control plane': () => process.kill(daemon, 0),
		'read the environment of another user’s worker': () => fs.readFileSync(`/proc/${worker}/environ`),
		'signal another user’s worker': () => process.kill(worker, 0),
		'list another user’s home': () => fs.readdirSync(home),
		'use another worker host’s PM2': () => connecting(`${home}/rpc.sock`),
		'list another user’s logs': () => fs.readdirSync(`${home}/logs`),
		'become root': () => process.setuid?.(0),
		'join the control plane’s group': () => process.setgid?.('rollcall'),
	};
}

http
	.createServer((request, response) => {
		const url = new URL(request.url ?? '/', 'http://localhost');
		if (url.pathname !== '/attempts') {
			response.end('ok');
			return;
		}
		const [daemon, worker] = ['daemon', 'worker'].map((name) => Number(url.searchParams.get(name)));
		void answer({ daemon: daemon ?? 0, worker: worker ?? 0, user: url.searchParams.get('user') ?? '' }).then((done) =>
			response.end(JSON.stringify(done)),
		);
	})
	.listen(Number(process.env['PORT']));

async function answer(victims: Victims): Promise<{ tried: number; succeeded: string[] }> {
	const all = Object.entries(attempts(victims));
	const succeeded: string[] = [];
	for (const [name, attempt] of all) {
		try {
			await attempt();
			succeeded.push(name);
		} catch {
			// As it should be.
		}
	}
	return { tried: all.length, succeeded };
}
