using System;
using System.Collections.Generic;
using System.Text;

public static class Harness
{
    static readonly string[] Names = { "webhook-id", "webhook-timestamp", "webhook-signature" };

    static string Text(string field) => Encoding.GetEncoding("iso-8859-1").GetString(Convert.FromBase64String(field));

    public static void Main()
    {
        for (var line = Console.ReadLine(); line != null; line = Console.ReadLine())
        {
            var fields = line.Split(':');
            var headers = new Dictionary<string, string>();
            for (var index = 0; index < Names.Length; index++)
                if (fields[index + 1] != "-")
                    headers[Names[index]] = Text(fields[index + 1]);
            try
            {
                Webhooks.Verify(
                    Text(fields[0]),
                    name => headers.TryGetValue(name, out var value) ? value : null,
                    Convert.FromBase64String(fields[4]));
                Console.WriteLine("accepted");
            }
            catch (Exception error)
            {
                Console.WriteLine("refused " + error.GetType().Name);
            }
        }
    }
}
