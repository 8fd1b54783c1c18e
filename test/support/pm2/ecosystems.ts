/** Configuration files of PM2 in the forms that public projects give them, each written for this test. */
export interface Ecosystem {
	/** What is particular about it. */
	title: string;
	file: string;
	text: string;
	/** More files of the folder, by path. */
	beside?: Readonly<Record<string, string>>;
	/** `--env`. */
	environment?: string;
	/** The entries of http_workers without `cwd` where it is the folder itself; FOLDER stands for its path. */
	apps: readonly Readonly<Record<string, unknown>>[];
	/** Remarks that must be there: app, field, outcome, and a part of the text. */
	remarks: readonly (readonly [string | null, string, 'taken' | 'changed' | 'left out', string])[];
}

export const ecosystems: readonly Ecosystem[] = [
	{
		title: 'CommonJS with a cluster over all processors, and logs that have no counterpart',
		file: 'ecosystem.config.js',
		text: `module.exports = { apps: [{ name: 'shop', script: './server.js', instances: 'max', exec_mode: 'cluster',
			env: { NODE_ENV: 'production', PORT: 3100 }, max_memory_restart: '500M', error_file: './logs/e.log', out_file: './logs/o.log',
			log_date_format: 'YYYY-MM-DD HH:mm', merge_logs: true }] };`,
		apps: [
			{
				name: 'shop',
				script: './server.js',
				instances: 'max',
				env: { NODE_ENV: 'production', PORT: '3100' },
				max_memory: '500M',
			},
		],
		remarks: [
			['shop', 'name', 'taken', 'name: shop'],
			['shop', 'instances', 'taken', 'max'],
			['shop', 'exec_mode', 'taken', 'cluster mode'],
			['shop', 'max_memory_restart', 'taken', 'max_memory: 500M'],
			['shop', 'error_file', 'left out', 'rollcall logs'],
			['shop', 'log_date_format', 'left out', 'without a time'],
			['shop', 'merge_logs', 'left out', 'rollcall logs APP'],
			[null, 'env', 'changed', 'shell'],
		],
	},
	{
		title: 'env_production over env by --env, other environments named',
		file: 'ecosystem.config.cjs',
		text: `module.exports = { apps: { name: 'api', script: 'app.js', env: { PORT: 4000, LEVEL: 'debug' },
			env_production: { LEVEL: 'warn', FEATURES: { search: true } }, env_staging: { LEVEL: 'info' } }, deploy: { production: {} } };`,
		environment: 'production',
		apps: [
			{
				name: 'api',
				script: 'app.js',
				instances: 1,
				env: { PORT: '4000', LEVEL: 'warn', FEATURES: '{"search":true}' },
			},
		],
		remarks: [
			['api', 'env_production', 'taken', 'LEVEL, FEATURES'],
			['api', 'env_staging', 'left out', '--env staging'],
			[null, 'deploy', 'left out', 'copies nothing'],
		],
	},
	{
		title: 'an ES module that awaits and prints, with a function among its values',
		file: 'ecosystem.config.mjs',
		text: `import { hostname } from 'node:os'; console.log('loading', hostname()); const port = await Promise.resolve(4100);
			export default { apps: [{ name: 'esm', script: 'main.mjs', env: { PORT: port }, made: () => 1 }] };`,
		apps: [{ name: 'esm', script: 'main.mjs', instances: 1, env: { PORT: '4100' } }],
		remarks: [['esm', 'env', 'taken', 'PORT']],
	},
	{
		title: 'an ES module by its package, as TypeScript compiles a default export',
		file: 'ecosystem.config.js',
		text: `const __esModule = true; export default { __esModule: true, default: { apps: [{ script: 'dist/main.js', port: 4200 }] } };`,
		beside: { 'package.json': '{"type":"module"}' },
		apps: [{ name: 'main', script: 'dist/main.js', instances: 1, env: { PORT: '4200' } }],
		remarks: [
			['main', 'name', 'changed', 'name: main'],
			['main', 'port', 'changed', 'env.PORT'],
		],
	},
	{
		title: 'JSON with comments and a comma too many',
		file: 'process.json',
		text: `{\n\t// the site\n\t"apps": [{ "name": "site", "script": "bin/www", /* as express makes it */ "env": { "PORT": "3200", "URL": "http://x/y" }, }],\n}`,
		beside: { 'bin/www': '#!/usr/bin/env node\n' },
		apps: [{ name: 'site', script: 'bin/www', instances: 1, env: { PORT: '3200', URL: 'http://x/y' } }],
		remarks: [['site', 'script', 'taken', 'bin/www']],
	},
	{
		title: 'YAML with watching, back-off and a clock',
		file: 'ecosystem.yaml',
		text: `apps:\n  - name: feed\n    script: ./feed.js\n    watch: [src]\n    ignore_watch: [node_modules]\n    watch_delay: 500\n    cron_restart: '0 3 * * *'\n    exp_backoff_restart_delay: 100\n    restart_delay: 3000\n    min_uptime: 10s\n    max_restarts: 10\n    env: {PORT: 3300}\n`,
		apps: [{ name: 'feed', script: './feed.js', instances: 1, env: { PORT: '3300' }, crash_loop: { intensity: 10 } }],
		remarks: [
			['feed', 'watch', 'left out', 'rollcall rollout start'],
			['feed', 'ignore_watch', 'left out', 'rollcall rollout start'],
			['feed', 'watch_delay', 'left out', 'rollcall rollout start'],
			['feed', 'cron_restart', 'left out', 'systemd timer'],
			['feed', 'exp_backoff_restart_delay', 'left out', 'pause'],
			['feed', 'restart_delay', 'left out', 'pause'],
			['feed', 'min_uptime', 'left out', 'crash_loop.period'],
			['feed', 'max_restarts', 'changed', 'crash_loop.intensity: 10'],
		],
	},
	{
		title: 'graceful reload: wait_ready and its times',
		file: 'ecosystem.config.js',
		text: `module.exports = { apps: [{ name: 'calm', script: 's.js', wait_ready: true, listen_timeout: 50000, kill_timeout: 5000,
			shutdown_with_message: true, env: { PORT: 3400 } }, { name: 'quick', script: 's.js', listen_timeout: 3000, kill_timeout: 900000, env: { PORT: 3401 } }] };`,
		apps: [
			{
				name: 'calm',
				script: 's.js',
				instances: 1,
				env: { PORT: '3400' },
				health: { deadline: '50s' },
				drain: { timeout: '5s' },
			},
			{ name: 'quick', script: 's.js', instances: 1, env: { PORT: '3401' }, drain: { timeout: '2m' } },
		],
		remarks: [
			['calm', 'wait_ready', 'changed', 'proven by an answer'],
			['calm', 'listen_timeout', 'taken', 'health.deadline: 50s'],
			['calm', 'kill_timeout', 'taken', 'drain.timeout: 5s'],
			['calm', 'shutdown_with_message', 'left out', 'SIGTERM'],
			['quick', 'listen_timeout', 'changed', 'the default'],
			['quick', 'kill_timeout', 'changed', 'rollout.deadline'],
		],
	},
	{
		title: 'options of Node as a text and as a list, source maps, a path to Node',
		file: 'ecosystem.config.js',
		text: `module.exports = [{ name: 'text', script: 'a.js', node_args: '-r dotenv/config --max-old-space-size=512', source_map_support: true, env: { PORT: 3500 } },
			{ name: 'list', script: 'a.ts', interpreter: '/opt/node18/bin/node', interpreter_args: ['--import', 'tsx', '--watch'], env: { PORT: 3501 } }];`,
		apps: [
			{
				name: 'text',
				script: 'a.js',
				node_args: ['--enable-source-maps', '-r', 'dotenv/config', '--max-old-space-size=512'],
				instances: 1,
				env: { PORT: '3500' },
			},
			{ name: 'list', script: 'a.ts', node_args: ['--import', 'tsx'], instances: 1, env: { PORT: '3501' } },
		],
		remarks: [
			['text', 'source_map_support', 'changed', '--enable-source-maps'],
			['list', 'node_args', 'left out', '--watch'],
			['list', 'interpreter', 'changed', "Rollcall's own Node"],
		],
	},
	{
		title: 'npm start, whose script of package.json is a plain command',
		file: 'ecosystem.config.js',
		text: `module.exports = { apps: [{ name: 'packed', script: 'npm', args: 'start', env: { PORT: 3600 } },
			{ name: 'passed', script: 'npm', args: ['run', 'serve', '--', '--quiet'], env: { PORT: 3601 } }] };`,
		beside: {
			'package.json':
				'{"scripts":{"start":"NODE_ENV=production node --no-warnings dist/index.js --fast","serve":"npm run start"}}',
		},
		apps: [
			{
				name: 'packed',
				script: 'dist/index.js',
				args: ['--fast'],
				node_args: ['--no-warnings'],
				instances: 1,
				env: { NODE_ENV: 'production', PORT: '3600' },
			},
			{
				name: 'passed',
				script: 'dist/index.js',
				args: ['--fast', '--quiet'],
				node_args: ['--no-warnings'],
				instances: 1,
				env: { NODE_ENV: 'production', PORT: '3601' },
			},
		],
		remarks: [['packed', 'script', 'changed', 'the program that npm comes to']],
	},
	{
		title: 'a framework from node_modules/.bin by npx, yarn and its own path',
		file: 'ecosystem.config.js',
		text: `module.exports = { apps: [{ name: 'by-npx', script: 'npx', args: 'frame start -p 3700' }, { name: 'by-yarn', script: 'yarn', args: 'start', env: { PORT: 3701 } },
			{ name: 'by-path', script: 'node_modules/.bin/frame', args: 'start -p "3702"', env: { NODE_ENV: 'production' } }] };`,
		beside: {
			'node_modules/.bin/frame': '#!/usr/bin/env node\n',
			'package.json': '{"scripts":{"start":"frame start"}}',
		},
		apps: [
			{ name: 'by-npx', script: './node_modules/.bin/frame', args: ['start', '-p', '3700'], instances: 1 },
			{ name: 'by-yarn', script: './node_modules/.bin/frame', args: ['start'], instances: 1, env: { PORT: '3701' } },
			{
				name: 'by-path',
				script: 'node_modules/.bin/frame',
				args: ['start', '-p', '3702'],
				instances: 1,
				env: { NODE_ENV: 'production' },
			},
		],
		remarks: [['by-npx', 'env', 'changed', 'no PORT shows']],
	},
	{
		title: 'package managers whose script cannot be followed',
		file: 'ecosystem.config.js',
		text: `module.exports = { apps: [{ name: 'built', script: 'pnpm', args: 'start' }, { name: 'nowhere', script: 'npm', args: 'run missing' },
			{ name: 'circle', script: 'npm', args: 'run round' }, { name: 'fine', script: 'ok.js', env: { PORT: 3800 } }] };`,
		beside: { 'package.json': '{"scripts":{"start":"tsc && node dist/index.js","round":"npm run round"}}' },
		apps: [{ name: 'fine', script: 'ok.js', instances: 1, env: { PORT: '3800' } }],
		remarks: [
			['built', 'script', 'left out', 'needs a shell'],
			['nowhere', 'script', 'left out', 'has no such script'],
			['circle', 'script', 'left out', 'without end'],
		],
	},
	{
		title: 'Python, with its interpreter, by its ending, and as one text',
		file: 'ecosystem.config.js',
		text: `module.exports = { apps: [{ name: 'one', script: 'app.py', interpreter: 'python3', exec_mode: 'fork', env: { PORT: 3900 } },
			{ name: 'two', script: 'app.py', instances: 2, increment_var: 'PORT', env: { PORT: 3910 } }, { name: 'three', script: 'python3 app.py --debug', instances: 3 }] };`,
		beside: { 'app.py': '' },
		apps: [
			{ name: 'one', script: 'app.py', interpreter: 'python3', instances: 1, ports: [3900], env: { PORT: '3900' } },
			{ name: 'two', script: 'app.py', interpreter: 'python3', instances: 2, ports: [3910], env: { PORT: '3910' } },
			{ name: 'three', script: 'app.py', args: ['--debug'], interpreter: 'python3', instances: 1 },
		],
		remarks: [
			['one', 'interpreter', 'taken', 'fork mode'],
			['two', 'interpreter', 'changed', 'python3'],
			['two', 'increment_var', 'taken', 'next one'],
			['three', 'instances', 'changed', 'ports of their own'],
		],
	},
	{
		title: 'a program without interpreter, and options of another interpreter',
		file: 'ecosystem.config.json',
		text: `{"apps": [{"name": "binary", "script": "./bin/server", "interpreter": "none", "args": "--port 4001", "port": 4001},
			{"name": "unbuffered", "script": "app.py", "interpreter": "/bin/sh", "interpreter_args": "-u", "env": {"PORT": "4002"}}]}`,
		beside: { 'bin/server': '\u007fELF', 'app.py': '' },
		apps: [
			{
				name: 'binary',
				script: './bin/server',
				args: ['--port', '4001'],
				interpreter: 'env',
				instances: 1,
				ports: [4001],
				env: { PORT: '4001' },
			},
			{
				name: 'unbuffered',
				script: '/bin/sh',
				args: ['-u', 'app.py'],
				interpreter: 'env',
				instances: 1,
				ports: [4002],
				env: { PORT: '4002' },
			},
		],
		remarks: [
			['binary', 'interpreter', 'changed', 'interpreter: env'],
			['unbuffered', 'node_args', 'changed', 'env starts the interpreter'],
		],
	},
	{
		title: 'names that are none of Rollcall, and two that come to one',
		file: 'ecosystem.config.js',
		text: `module.exports = { apps: [{ name: 'My Shop_API', script: 'a.js', env: { PORT: 4100 } }, { name: 'my-shop-api', script: 'b.js', env: { PORT: 4101 } },
			{ name: 'ü', script: 'c.js', env: { PORT: 4102 } }, { script: 'lib/worker.js', env: { PORT: 4103 } }] };`,
		apps: [
			{ name: 'my-shop-api', script: 'a.js', instances: 1, env: { PORT: '4100' } },
			{ name: 'my-shop-api-2', script: 'b.js', instances: 1, env: { PORT: '4101' } },
			{ name: 'app', script: 'c.js', instances: 1, env: { PORT: '4102' } },
			{ name: 'worker', script: 'lib/worker.js', instances: 1, env: { PORT: '4103' } },
		],
		remarks: [
			['My Shop_API', 'name', 'changed', 'name: my-shop-api'],
			['my-shop-api', 'name', 'changed', 'name: my-shop-api-2'],
		],
	},
	{
		title: 'jobs that are no services, and two apps on one port',
		file: 'ecosystem.config.js',
		text: `module.exports = { apps: [{ name: 'web', script: 'w.js', env: { PORT: 4200 } }, { name: 'nightly', script: 'n.js', autorestart: false, cron_restart: '0 2 * * *' },
			{ name: 'migrate', script: 'm.js', autorestart: false }, { name: 'parked', script: 'p.js', autostart: false }, { name: 'queue', script: 'q.js', env: { PORT: '4200' } }] };`,
		apps: [{ name: 'web', script: 'w.js', instances: 1, env: { PORT: '4200' } }],
		remarks: [
			['nightly', 'cron_restart', 'left out', 'systemd timer'],
			['migrate', 'autorestart', 'left out', 'systemd service'],
			['parked', 'autostart', 'left out', 'does not start it'],
			['queue', 'app', 'left out', '4200, also of app web'],
		],
	},
	{
		title: 'instances counted from the processors, as a text, and too many',
		file: 'ecosystem.config.js',
		text: `module.exports = { apps: [{ name: 'few', script: 'a.js', instances: -1000, env: { PORT: 4300 } }, { name: 'zero', script: 'a.js', instances: 0, env: { PORT: 4301 } },
			{ name: 'text', script: 'a.js', instances: '3', env: { PORT: 4302 } }, { name: 'many', script: 'a.js', instances: 999, env: { PORT: 4303 } }] };`,
		apps: [
			{ name: 'few', script: 'a.js', instances: 1, env: { PORT: '4300' } },
			{ name: 'zero', script: 'a.js', instances: 'max', env: { PORT: '4301' } },
			{ name: 'text', script: 'a.js', instances: 3, env: { PORT: '4302' } },
			{ name: 'many', script: 'a.js', instances: 256, env: { PORT: '4303' } },
		],
		remarks: [
			['few', 'instances', 'changed', 'counted on this host'],
			['many', 'instances', 'changed', 'the most'],
		],
	},
	{
		title: 'users by name, by number, root and one that is not there',
		file: 'ecosystem.config.js',
		text: `module.exports = { apps: [{ name: 'a', script: 'a.js', user: 'daemon', env: { PORT: 4400 } }, { name: 'b', script: 'a.js', uid: 1, gid: 1, env: { PORT: 4401 } },
			{ name: 'c', script: 'a.js', uid: 'root', env: { PORT: 4402 } }, { name: 'd', script: 'a.js', user: 'no-such-user', env: { PORT: 4403 } }] };`,
		apps: [
			{ name: 'a', script: 'a.js', user: 'daemon', instances: 1, env: { PORT: '4400' } },
			{ name: 'b', script: 'a.js', user: 'daemon', instances: 1, env: { PORT: '4401' } },
			{ name: 'c', script: 'a.js', instances: 1, env: { PORT: '4402' } },
			{ name: 'd', script: 'a.js', instances: 1, env: { PORT: '4403' } },
		],
		remarks: [
			['a', 'uid', 'taken', 'user: daemon'],
			['b', 'gid', 'left out', 'groups of its user'],
			['c', 'uid', 'left out', 'root'],
			['d', 'uid', 'left out', 'no such user'],
		],
	},
	{
		title: 'variables that no worker may have, and one of several lines',
		file: 'ecosystem.config.js',
		text: `module.exports = { apps: [{ name: 'vars', script: 'a.js', env: { PORT: 4500, ROLLCALL_X: '1', 'not a name': 'x', NODE_OPTIONS: '--inspect-brk', NONE: null,
			TEXT: 'one\\ntwo: "three" # four', YES: true, EMPTY: '' }, env_file: '.env', filter_env: ['AWS_'] }] };`,
		apps: [
			{
				name: 'vars',
				script: 'a.js',
				instances: 1,
				env: { PORT: '4500', TEXT: 'one\ntwo: "three" # four', YES: 'true', EMPTY: '' },
			},
		],
		remarks: [
			['vars', 'env.ROLLCALL_X', 'left out', 'ROLLCALL_'],
			['vars', 'env.not a name', 'left out', 'letters'],
			['vars', 'env.NODE_OPTIONS', 'left out', '--inspect-brk'],
			['vars', 'env.NONE', 'left out', 'no value'],
			['vars', 'env_file', 'left out', 'KEY=VALUE'],
			['vars', 'filter_env', 'changed', 'never get the environment'],
		],
	},
	{
		title: 'a folder of its own, a namespace, agents of PM2 Plus, a field that PM2 does not know',
		file: 'deploy/ecosystem.config.js',
		text: `const path = require('path'); module.exports = { apps: [{ name: 'far', cwd: path.join(__dirname, '../app'), script: 'main.js', namespace: 'shop', pmx: false,
			deep_monitoring: true, treekill: true, vizion: false, health_check_grace_period: 3000, max_memory_restart: 104857600, time: true, env: { PORT: 4600 } }] };`,
		apps: [
			{ name: 'far', script: 'main.js', cwd: 'FOLDER/app', instances: 1, env: { PORT: '4600' }, max_memory: '102400k' },
		],
		remarks: [
			['far', 'cwd', 'taken', '/app'],
			['far', 'namespace', 'left out', 'names alone'],
			['far', 'pmx', 'taken', 'off'],
			['far', 'deep_monitoring', 'left out', 'agent'],
			['far', 'treekill', 'left out', 'control group'],
			['far', 'health_check_grace_period', 'left out', 'does not document'],
			['far', 'time', 'left out', 'without a time'],
		],
	},
	{
		title: 'other spellings: exec, user, error, log, cron, interpreterArgs, script_args',
		file: 'pm2.config.js',
		text: `module.exports = { apps: [{ name: 'old', exec: 'server.js', script_args: ['-a'], interpreterArgs: '--no-warnings', error: 'e.log', log: true, cron: '0 0 * * *',
			instance_var: 'ID', exec_mode: 'fork_mode', instances: 2, env: { PORT: 4700 } }] };`,
		apps: [
			{
				name: 'old',
				script: 'server.js',
				args: ['-a'],
				node_args: ['--no-warnings'],
				instances: 2,
				env: { PORT: '4700' },
			},
		],
		remarks: [
			['old', 'exec_mode', 'changed', 'shares its port'],
			['old', 'instance_var', 'left out', 'NODE_APP_INSTANCE'],
			['old', 'log_file', 'left out', 'rollcall logs'],
			['old', 'cron_restart', 'left out', 'without loss'],
		],
	},
];
