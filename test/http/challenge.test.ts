/** Clients that log in by Basic only after a 401, by the challenge that they read in it. */

import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { startPostern, TOKEN } from '../support/postern.ts';

const directory = await mkdtemp(join(tmpdir(), 'postern-challenge-'));
afterAll(() => rm(directory, { recursive: true }));

const JAVA = join(directory, 'Ask.java');
await writeFile(
  JAVA,
  `import java.net.*; import java.net.http.*;
class Ask {
  public static void main(String[] args) throws Exception {
    var login = new Authenticator() {
      @Override protected PasswordAuthentication getPasswordAuthentication() {
        return new PasswordAuthentication(args[1], args[2].toCharArray());
      }
    };
    var request = HttpRequest.newBuilder(URI.create(args[0])).build();
    var client = HttpClient.newBuilder().authenticator(login).build();
    System.out.println(client.send(request, HttpResponse.BodyHandlers.ofString()).body());
  }
}`,
);

const PYTHON = `import sys
from urllib import request
url, user, password = sys.argv[1:]
passwords = request.HTTPPasswordMgrWithDefaultRealm()
passwords.add_password(None, url, user, password)
print(request.build_opener(request.HTTPBasicAuthHandler(passwords)).open(url).read().decode())`;

type Login = readonly [url: string, user: string, password: string];

/** Each prints the answer to its standard output. */
const CLIENTS: Record<string, (...login: Login) => readonly [string, ...string[]]> = {
  'curl --anyauth': (url, user, password) => ['curl', '-sS', '--anyauth', '-u', `${user}:${password}`, url],
  "Python's urllib": (...login) => ['python3', '-c', PYTHON, ...login],
  "Java's HttpClient": (...login) => ['java', JAVA, ...login],
};

function isThere([program]: readonly [string, ...string[]]): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    console.warn(`${program} is not installed, its test is left out.`);
    return false;
  }
}

describe.concurrent('the challenge of a 401', () => {
  it.each(Object.entries(CLIENTS).filter(([, command]) => isThere(command('', '', ''))))(
    'lets %s log in by Basic',
    async (_, command) => {
      await using postern = await startPostern();
      const [program, ...args] = command(`${postern.url}/v1/quota`, 'ifaxin', TOKEN);
      const { stdout } = await promisify(execFile)(program, args);
      expect(JSON.parse(stdout)).toMatchObject({ apiUser: 'ifaxin' });
    },
    60_000,
  );
});
